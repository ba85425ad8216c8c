"""Addresses: given once, then kept for ever, whatever else comes or goes.

`AddressPlan` is a resource type of the framework itself, served in every plugin's process. Its `check` does the work:
it sees the recorded assignments, so addresses are known in previews already, never move, and need no call to anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2s
from typing import Annotated, Any, ClassVar

from pydantic import Field

from provision.spi import (
    CheckFailure,
    CheckRequest,
    Checked,
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
from provision.translate.pools import Full, Pool


class AddressSpace(Properties):
    """What one network has to give."""

    cidr: Annotated[str | None, Field(description="IPv4 prefix.")] = None
    cidr6: Annotated[str | None, Field(description="IPv6 prefix.")] = None
    reserved: Annotated[
        list[str], Field(description="Addresses that no machine has, and ranges (first-last) that none is given.")
    ] = []


class WantedAddress(Properties):
    """One network interface that needs addresses."""

    key: Annotated[str, Field(description="Stable name of the interface: MACHINE/NETWORK.")]
    network: Annotated[str, Field(description="Name of its network.")]
    previous: Annotated[list[str], Field(description="Former keys, whose addresses it keeps.")] = []
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
    wanted: Annotated[list[WantedAddress], Field(description="Interfaces.")]
    assigned: Annotated[
        dict[str, AssignedAddress], Field(description="Addresses by interface; filled in when the inputs are checked.")
    ] = {}


class AddressPlanOutputs(Properties):
    """What was given."""

    assigned: Annotated[dict[str, AssignedAddress], Field(description="Addresses by interface.")] = {}


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
        return Checked(inputs.model_copy(update={"assigned": assigned}).model_dump(exclude_none=True), failures)

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

    def update(
        self, request: UpdateRequest[AddressPlanInputs, AddressPlanOutputs]
    ) -> Updated[AddressPlanOutputs]:
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
    wanted = sorted(inputs.wanted, key=lambda item: item.key)
    recorded = _recorded(wanted, old)
    found = {4: _family(wanted, spaces, recorded, 0, failures), 6: _family(wanted, spaces, recorded, 1, failures)}
    macs = _macs(inputs.scope, wanted, recorded, failures)
    assigned = {
        item.key: AssignedAddress(mac=macs[item.key], ipv4=found[4].get(item.key), ipv6=found[6].get(item.key))
        for item in inputs.wanted
    }
    return assigned, failures


def mac(scope: str, key: str, attempt: int = 0) -> str:
    """A locally administered unicast MAC address (IEEE 802, `02:…`) that is the same for the same interface."""
    digest = blake2s(f"{scope}\0{key}\0{attempt}".encode(), person=b"mac").digest()
    return "02:" + ":".join(f"{byte:02x}" for byte in digest[:5])


def _recorded(wanted: Iterable[WantedAddress], old: Mapping[str, AssignedAddress]) -> dict[str, AssignedAddress]:
    """What each wanted interface had, also under a former key that nothing else has now."""
    items = list(wanted)
    found = {item.key: old[item.key] for item in items if item.key in old}
    keys = {item.key for item in items}
    used: set[str] = set()
    for item in items:
        if item.key not in found:
            former = next((key for key in item.previous if key in old and key not in keys and key not in used), None)
            if former is not None:
                used.add(former)
                found[item.key] = old[former]
    return found


def _family(
    wanted: Sequence[WantedAddress],
    spaces: Mapping[str, tuple[Pool | None, ...]],
    recorded: Mapping[str, AssignedAddress],
    family: int,
    failures: list[CheckFailure],
) -> dict[str, str]:
    fixed_name, name = ("fixed4", "ipv4") if family == 0 else ("fixed6", "ipv6")
    given: dict[str, str] = {}
    rest: list[tuple[WantedAddress, Pool]] = []
    asked: list[tuple[WantedAddress, Pool, str]] = []
    for item in wanted:
        pool = spaces[item.network][family] if item.network in spaces else None
        fixed = getattr(item, fixed_name)
        if pool is None:
            if fixed is not None:
                failures.append(CheckFailure("wanted", f"{item.key}: network '{item.network}' has no prefix for {fixed}"))
        elif fixed is not None:
            asked.append((item, pool, fixed))
        else:
            rest.append((item, pool))
    new: list[tuple[WantedAddress, Pool]] = []
    kept: list[tuple[WantedAddress, Pool, str]] = []
    for item, pool in rest:
        before = recorded.get(item.key)
        address = getattr(before, name) if before is not None else None
        if address is not None and pool.fits(address):
            kept.append((item, pool, address))
            pool.take(address, item.key)
            given[item.key] = address
        else:
            new.append((item, pool))
    for item, pool, address in asked:
        problem = pool.problem(address)
        if problem is None:
            pool.take(address, item.key)
            given[item.key] = address
        else:
            failures.append(CheckFailure("wanted", f"{item.key}: {problem}; choose another address for it"))
    full: dict[str, int] = {}
    for item, pool in new:
        try:
            given[item.key] = pool.derive(item.key)
        except Full:
            full[item.network] = full.get(item.network, 0) + 1
    for network, missing in full.items():
        whole = spaces[network][family]
        assert whole is not None
        count = sum(1 for item in wanted if item.network == network)
        failures.append(
            CheckFailure(
                "networks",
                f"network '{network}' ({whole.network}) has {whole.capacity} addresses to give, but {count} interfaces "
                f"want one ({missing} got none); choose a wider prefix",
            )
        )
    return given


def _macs(
    scope: str,
    wanted: Sequence[WantedAddress],
    recorded: Mapping[str, AssignedAddress],
    failures: list[CheckFailure],
) -> dict[str, str]:
    owners: dict[str, str] = {}
    given: dict[str, str] = {}

    def take(item: WantedAddress, address: str) -> None:
        owners[address] = item.key
        given[item.key] = address

    for item in wanted:
        if item.fixed_mac is not None:
            if item.fixed_mac in owners:
                failures.append(
                    CheckFailure("wanted", f"{item.key}: {item.fixed_mac} is already the MAC of {owners[item.fixed_mac]}")
                )
            take(item, item.fixed_mac)
    for item in wanted:
        before = recorded.get(item.key)
        if item.key not in given and before is not None and before.mac not in owners:
            take(item, before.mac)
    for item in wanted:
        attempt = 0
        while item.key not in given:
            address = mac(scope, item.key, attempt)
            attempt += 1
            if address not in owners:
                take(item, address)
    return given
