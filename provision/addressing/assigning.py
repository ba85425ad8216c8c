"""Addresses: given once, then kept for ever, whatever else comes or goes.

`AddressPlan` is a resource type of the framework itself, served in every plugin's process. Its `check` does the work:
it sees the recorded assignments, so addresses are known in previews already, never move, and need no call to anything.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2s
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import Field

from provision.addressing.pools import Full, Pool
from provision.spi import (
    Checked,
    CheckFailure,
    CheckRequest,
    Created,
    CreateRequest,
    DeleteRequest,
    Properties,
    Read,
    ReadRequest,
    ResourceType,
    Updated,
    UpdateRequest,
    has_unknown,
)

_Wanted: TypeAlias = "Sequence[tuple[str, WantedAddress]]"


class AddressSpace(Properties):
    """What one network has to give."""

    cidr: Annotated[str | None, Field(description="IPv4 prefix.")] = None
    cidr6: Annotated[str | None, Field(description="IPv6 prefix.")] = None
    reserved: Annotated[
        list[str],
        Field(
            default_factory=list,
            description="Addresses that no machine has, and ranges (first-last) that none is given.",
        ),
    ]


class WantedAddress(Properties):
    """One network interface that needs addresses."""

    network: Annotated[str, Field(description="Name of its network.")]
    previous: Annotated[list[str], Field(default_factory=list, description="Former keys, whose addresses it keeps.")]
    fixed4: Annotated[str | None, Field(description="IPv4 address that the file says.")] = None
    fixed6: Annotated[str | None, Field(description="IPv6 address that the file says.")] = None
    fixed_mac: Annotated[str | None, Field(description="MAC address that the file says.")] = None


class AssignedAddress(Properties):
    """What one network interface has."""

    mac: Annotated[str, Field(description="MAC address.")]
    ipv4: Annotated[str | None, Field(description="IPv4 address.")] = None
    ipv6: Annotated[str | None, Field(description="IPv6 address.")] = None


class AddressPlanInputs(Properties):
    """Everything that needs an address, and where from."""

    scope: Annotated[str, Field(description="Project and stack, so that MAC addresses differ between stacks.")]
    networks: Annotated[dict[str, AddressSpace], Field(description="Networks by name.")]
    wanted: Annotated[dict[str, WantedAddress], Field(description="Interfaces by stable name: MACHINE/NETWORK.")]
    assigned: Annotated[
        dict[str, AssignedAddress],
        Field(default_factory=dict, description="Addresses by interface; filled in when the inputs are checked."),
    ]


class AddressPlanOutputs(Properties):
    """What was given."""

    assigned: Annotated[dict[str, AssignedAddress], Field(default_factory=dict, description="Addresses by interface.")]


class AddressPlan(ResourceType[AddressPlanInputs, AddressPlanOutputs, Any]):
    """The addresses of a stack's machines, kept in state."""

    token: ClassVar[str] = "index:AddressPlan"
    Inputs: ClassVar[type[Properties]] = AddressPlanInputs
    Outputs: ClassVar[type[Properties]] = AddressPlanOutputs

    def check(self, request: CheckRequest) -> Checked:
        """Fill in `assigned`: what is recorded stays, what is new gets the next free address."""
        if has_unknown(request.inputs):
            return Checked(request.inputs)
        inputs = AddressPlanInputs.model_validate(dict(request.inputs))
        kept = (request.old_inputs or {}).get("assigned") or {}
        old = {key: AssignedAddress.model_validate(value) for key, value in kept.items()}
        assigned, failures = allocate(inputs, old)
        # Former keys have done their work now; in state they would only be noise in the next preview.
        wanted = {key: item.model_copy(update={"previous": []}) for key, item in inputs.wanted.items()}
        done = inputs.model_copy(update={"assigned": assigned, "wanted": wanted})
        return Checked(done.model_dump(exclude_none=True), failures)

    def create(self, request: CreateRequest[AddressPlanInputs]) -> Created[AddressPlanOutputs]:
        """Record the plan."""
        return Created(request.inputs.scope, AddressPlanOutputs(assigned=request.inputs.assigned))

    def read(
        self, request: ReadRequest[AddressPlanInputs, AddressPlanOutputs]
    ) -> Read[AddressPlanInputs, AddressPlanOutputs] | None:
        """What is recorded is what is true."""
        if request.inputs is None or request.outputs is None:
            return None
        return Read(request.id, request.inputs, request.outputs)

    def update(self, request: UpdateRequest[AddressPlanInputs, AddressPlanOutputs]) -> Updated[AddressPlanOutputs]:
        """Record the new plan."""
        return Updated(AddressPlanOutputs(assigned=request.inputs.assigned))

    def delete(self, request: DeleteRequest[AddressPlanInputs, AddressPlanOutputs]) -> None:
        """Nothing but the record existed."""


def allocate(
    inputs: AddressPlanInputs, old: Mapping[str, AssignedAddress]
) -> tuple[dict[str, AssignedAddress], Sequence[CheckFailure]]:
    """Addresses for every wanted interface, by key; deterministic, and whatever of `old` still fits is kept.

    Kept addresses come first, then fixed ones, then new ones in the order of their keys. A fixed address that another
    machine holds is a failure: that machine would have to move.
    """
    failures: list[CheckFailure] = []
    spaces = {
        name: tuple(Pool(cidr, tuple(space.reserved)) if cidr else None for cidr in (space.cidr, space.cidr6))
        for name, space in inputs.networks.items()
    }
    wanted = [(key, inputs.wanted[key]) for key in sorted(inputs.wanted)]
    recorded = _recorded(inputs.wanted, old)
    found = {4: _family(wanted, spaces, recorded, 0, failures), 6: _family(wanted, spaces, recorded, 1, failures)}
    macs = _macs(inputs.scope, wanted, recorded, failures)
    assigned = {
        key: AssignedAddress(mac=macs[key], ipv4=found[4].get(key), ipv6=found[6].get(key)) for key in inputs.wanted
    }
    return assigned, failures


def mac(scope: str, key: str, attempt: int = 0) -> str:
    """A locally administered unicast MAC address (IEEE 802, `02:…`) that is the same for the same interface."""
    digest = blake2s(f"{scope}\0{key}\0{attempt}".encode(), person=b"mac").digest()
    return "02:" + ":".join(f"{byte:02x}" for byte in digest[:5])


def _recorded(wanted: Mapping[str, WantedAddress], old: Mapping[str, AssignedAddress]) -> dict[str, AssignedAddress]:
    """What each wanted interface had, also under a former key that nothing else has now."""
    found = {key: old[key] for key in wanted if key in old}
    used: set[str] = set()
    for key, item in wanted.items():
        if key not in found:
            free = (name for name in item.previous if name in old and name not in wanted and name not in used)
            former = next(free, None)
            if former is not None:
                used.add(former)
                found[key] = old[former]
    return found


def _family(
    wanted: _Wanted,
    spaces: Mapping[str, tuple[Pool | None, ...]],
    recorded: Mapping[str, AssignedAddress],
    family: int,
    failures: list[CheckFailure],
) -> dict[str, str]:
    """Addresses of one family by key: of IPv4 when `family` is 0, else of IPv6."""
    given: dict[str, str] = {}
    fixed: list[tuple[str, Pool, str]] = []
    new: list[tuple[str, str, Pool]] = []
    for key, item in wanted:
        pool = spaces[item.network][family] if item.network in spaces else None
        said = item.fixed6 if family else item.fixed4
        before = recorded.get(key)
        address = None if before is None else before.ipv6 if family else before.ipv4
        if pool is None:
            if said is not None:
                reason = f"{key}: network '{item.network}' has no prefix for {said}"
                failures.append(CheckFailure("wanted", reason))
        elif said is not None:
            fixed.append((key, pool, said))
        elif address is not None and pool.fits(address):
            pool.take(address, key)
            given[key] = address
        else:
            new.append((key, item.network, pool))
    for key, pool, said in fixed:
        problem = pool.problem(said)
        if problem is None:
            pool.take(said, key)
            given[key] = said
        else:
            failures.append(CheckFailure("wanted", f"{key}: {problem}; choose another address for it"))
    full: Counter[str] = Counter()
    for key, network, pool in new:
        try:
            given[key] = pool.derive(key)
        except Full:
            full[network] += 1
    for network, missing in full.items():
        count = sum(item.network == network for _, item in wanted)
        failures.append(CheckFailure("networks", _too_small(network, spaces[network][family], count, missing)))
    return given


def _too_small(network: str, pool: Pool | None, count: int, missing: int) -> str:
    assert pool is not None
    return (
        f"network '{network}' ({pool.network}) has {pool.capacity} addresses to give, but {count} interfaces "
        f"want one ({missing} got none); choose a wider prefix"
    )


def _macs(
    scope: str, wanted: _Wanted, recorded: Mapping[str, AssignedAddress], failures: list[CheckFailure]
) -> dict[str, str]:
    owners: dict[str, str] = {}
    given: dict[str, str] = {}

    def take(key: str, address: str) -> None:
        owners[address] = key
        given[key] = address

    for key, item in wanted:
        if item.fixed_mac is not None:
            if item.fixed_mac in owners:
                reason = f"{key}: {item.fixed_mac} is already the MAC of {owners[item.fixed_mac]}"
                failures.append(CheckFailure("wanted", reason))
            take(key, item.fixed_mac)
    for key, _ in wanted:
        before = recorded.get(key)
        if key not in given and before is not None and before.mac not in owners:
            take(key, before.mac)
    for key, _ in wanted:
        attempt = 0
        while key not in given:
            address = mac(scope, key, attempt)
            attempt += 1
            if address not in owners:
                take(key, address)
    return given
