"""Evidence beyond probes: the proof of the native rules, what the platform records, what its host applies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provision.diagnostics import DiagnosticSink
from provision.errors import ProvisionError
from provision.loader import Loaded
from provision.models import (
    AntiSpoofingPolicy,
    MetadataPolicy,
    NoHostAccessPolicy,
    NoInternetPolicy,
    PeerIsolationPolicy,
    Policy,
    Share,
    Stack,
    TrafficPolicy,
)
from provision.spi import (
    CanReadLiveRules,
    CanReadRules,
    CanShowEvidence,
    DeployedMachine,
    Evidence,
    EvidenceRequest,
    Provider,
    Shown,
)
from provision.translate import Scope, capabilities_of, place
from provision.translate.crossing import Layout
from provision.translate.instances import instances
from provision.verify.held import LIVE, UNSPOKEN, Held, entries, held
from provision.verify.places import Places, site_of
from provision.verify.proof import Part, Proof, joined, planned, prove_applied
from provision.verify.settings import read_settings
from provision.verify.state import DeployedStack

OF_PACKETS = (
    TrafficPolicy, AntiSpoofingPolicy, PeerIsolationPolicy, NoInternetPolicy, NoHostAccessPolicy, MetadataPolicy,
)  # fmt: skip
"""Policies that packet rules carry out, so that a proof of the rules speaks of them."""

APPLIED = "rules that the platform applies"
NATIVE = "native rules"


@dataclass(frozen=True)
class Gathered:
    """All evidence but that of probes.

    Attributes:
        proof: of the native rules; None when it cannot be had.
        no_proof: why not.
        applied: of the rules that the platform applies now; None when they cannot be seen.
        not_applied: why not; empty when nobody says.
        failed: whether they should have been seen and could not.
        policies: by name of policy, what was seen live.
        shares: the same by name of share, with what native settings say of it.
        settings: by name of policy, what native settings say of it.
        measured: by name of share, what busy machines showed.
    """

    proof: Proof | None = None
    no_proof: str = "it was not asked"
    applied: Proof | None = None
    not_applied: str = ""
    failed: bool = False
    policies: Mapping[str, Mapping[Evidence, Held]] = field(default_factory=dict)
    shares: Mapping[str, Mapping[Evidence, Held]] = field(default_factory=dict)
    settings: Mapping[str, Held] = field(default_factory=dict)
    measured: Mapping[str, Held] = field(default_factory=dict)

    def of(self, name: str, policy: Policy) -> Mapping[Evidence, Held]:
        """Every kind but *probed* that is known of a policy."""
        found = {Evidence.TRANSLATED: self._translated(name, policy), **self.policies.get(name, {})}
        packets = self._effective() if isinstance(policy, OF_PACKETS) else None
        if packets is not None:
            kind = self.applied.kind if self.applied is not None else Evidence.EFFECTIVE
            found[kind] = _both(found.get(kind), packets)
        return found

    def _translated(self, name: str, policy: Policy) -> Held:
        said = self.settings.get(name)
        if not isinstance(policy, OF_PACKETS):
            return said or UNSPOKEN
        proof = Held(None, self.no_proof) if self.proof is None else of_proof(self.proof, NATIVE)
        return _both(said, proof)

    def _effective(self) -> Held | None:
        """What the rules show that the platform applies; None when nobody says anything of them."""
        if self.applied is not None:
            return of_proof(self.applied, APPLIED)
        return Held(None, self.not_applied, self.failed) if self.not_applied else None


def of_proof(proof: Proof, rules: str) -> Held:
    """What a proof about `rules` shows of every policy that packets tell of."""
    if proof.differences:
        count = len(proof.differences)
        return Held(False, f"{count} difference{'s' * (count != 1)} between the {rules} and the file")
    if proof.unmodelled:
        return Held(None, f"not understood: {proof.unmodelled[0]}", failed=True)
    return Held(True, f"the {rules} let pass what the file allows, and nothing else")


def _both(one: Held | None, other: Held) -> Held:
    """Two looks of one kind: each must agree, and what is seen counts more than what is not."""
    if one is None or (one.holds is None and not one.failed):
        return other
    if other.holds is None and not other.failed:
        return one
    holds = None if None in (one.holds, other.holds) else one.holds and other.holds
    wrong = [look for look in (one, other) if look.holds is not True]
    texts = [look.text for look in wrong or (one, other)]
    return Held(False if False in (one.holds, other.holds) else holds, "; ".join(texts), one.failed or other.failed)


def translated(
    loaded: Loaded, deployed: DeployedStack, places: Places, away: Mapping[str, str] = {}
) -> tuple[Sequence[Part], str]:
    """What would be made of the stack with the addresses that it has; else why that is not known."""
    if away:
        return (), f"what the rules would be is not known: {next(iter(away.values()))}"
    for provider, _ in places.values():
        if not isinstance(provider, CanReadRules):
            return (), f"the plugin '{provider.name}' cannot read its native rules back"
    scope = Scope(deployed.project, deployed.name, str(loaded.directory))
    try:
        parts = {part.location: part.stack for part in place(loaded.stack, DiagnosticSink(loaded.source_map))}
        sites = {
            location: (one, capabilities_of(one, session, parts.get(location, loaded.stack)))
            for location, (one, session) in places.items()
        }
        first = next(iter(sites.values()))
        return planned(loaded, *first, scope, deployed.recorded, sites), ""
    except ProvisionError as error:
        return (), f"the stack file could not be translated: {error.summary}"


def applied(stack: Stack, deployed: DeployedStack, places: Places) -> tuple[Proof | None, str, bool]:
    """The proof of the rules that the platform applies now; else why there is none, and whether that is a failure."""
    found = []
    layout = Layout(stack)
    for location, (provider, session) in places.items():
        proof, why, failed = _applied(stack, deployed, provider, session, location, layout)
        if proof is None:
            return None, why, failed
        found.append(proof)
    return joined(found), "", False


def _applied(
    stack: Stack, deployed: DeployedStack, provider: Provider[Any, Any], session: Any, location: str, layout: Layout
) -> tuple[Proof | None, str, bool]:
    """The same of one location."""
    if not isinstance(provider, CanReadLiveRules):
        return None, "", False
    try:
        if len(deployed.locations) < 2 or location not in deployed.locations:
            found = prove_applied(stack, deployed, provider, session)
        else:
            found = prove_applied(
                layout.seen(location),
                deployed.part(location),
                provider,
                session,
                everywhere=layout.reached(location, deployed.addresses(stack)),
                here=frozenset(name for name, it in stack.networks.items() if layout.home(it) == location),
            )
    except ProvisionError as error:
        return None, error.summary, True
    return (None, found, False) if isinstance(found, str) else (found, "", False)


def live(
    stack: Stack, deployed: DeployedStack, places: Places, away: Mapping[str, str] = {}
) -> tuple[Mapping[str, Mapping[Evidence, Held]], Mapping[str, Mapping[Evidence, Held]]]:
    """What every machine shows of the policies and shares that select it; by name of policy, and by name of share."""
    downgraded = {record.name for record in deployed.downgraded}
    policies: dict[str, Policy | Share] = {
        name: policy for name, policy in stack.isolation.policies.items() if name not in downgraded
    }
    shares: dict[str, Policy | Share] = {**stack.sharing.shares}
    unable = [provider.name for provider, _ in places.values() if not isinstance(provider, CanShowEvidence)]
    if len(unable) == len(places) and not away:
        none = dict.fromkeys(LIVE, Held(None, f"the plugin '{unable[0]}' cannot show it"))
        return dict.fromkeys(policies, none), dict.fromkeys(shares, none)
    asked = [*policies.values(), *shares.values()]
    chosen = [entries(stack, item) for item in asked]
    members = [_members(stack, deployed, those) for those in chosen]
    seen: list[list[tuple[str, Sequence[Shown] | str]]] = [[] for _ in asked]
    kept: dict[str, dict[Any, Any]] = {}
    for instance in instances(stack):
        about = [index for index, those in enumerate(chosen) if instance.entry in those]
        machine = deployed.machines.get(instance.name)
        if about and machine is not None:
            location = deployed.location_of(instance.name)
            if location in away:
                for index in about:
                    seen[index].append((instance.name, away[location]))
                continue
            provider, session = site_of(places, location)
            request = EvidenceRequest(
                machine,
                tuple(asked[index] for index in about),
                deployed.part(location).shared if location else deployed.shared,
                tuple(members[index] for index in about),
                kept.setdefault(location, {}),
            )
            for index, answer in zip(about, _look(provider, session, request), strict=True):
                seen[index].append((instance.name, answer))
    found = [held(answers) for answers in seen]
    return (
        dict(zip(policies, found[: len(policies)], strict=True)),
        dict(zip(shares, found[len(policies) :], strict=True)),
    )


def _members(stack: Stack, deployed: DeployedStack, entries: frozenset[str]) -> tuple[DeployedMachine, ...]:
    names = [instance.name for instance in instances(stack) if instance.entry in entries]
    return tuple(deployed.machines[name] for name in names if name in deployed.machines)


def _look(provider: Provider[Any, Any], session: Any, request: EvidenceRequest) -> Sequence[Sequence[Shown] | str]:
    """The answers of the plugin, or the same reason for each when it has none."""
    asked = request.asked
    if not isinstance(provider, CanShowEvidence):
        seen = f"the plugin '{provider.name}' cannot show it"
        return [[Shown(kind, None, seen) for kind in LIVE]] * len(asked)
    try:
        answers = list(provider.evidence(session, request))
    except ProvisionError as error:
        return [error.summary] * len(asked)
    except Exception as error:  # a plugin's defect must not hide what is known of other machines
        return [f"the plugin failed: {str(error).partition(chr(10))[0] or type(error).__name__}"] * len(asked)
    if len(answers) != len(asked):
        return [f"the plugin gave {len(answers)} answers to {len(asked)} questions"] * len(asked)
    return answers


def gather(loaded: Loaded, deployed: DeployedStack, places: Places, away: Mapping[str, str] = {}) -> Gathered:
    """Everything that is known without sending packets.

    Args:
        loaded: the stack file.
        deployed: the stack as deployed.
        places: plugin and session by location.
        away: locations that cannot be reached, and why: nothing is known of what is there.
    """
    parts, no_proof = translated(loaded, deployed, places, away)
    proof = joined([part.prove() for part in parts]) if parts else None
    said = read_settings(parts, OF_PACKETS)
    policies, shares = live(loaded.stack, deployed, places, away)
    shares = {
        name: {Evidence.TRANSLATED: said.shares[name], **seen} if name in said.shares else seen
        for name, seen in shares.items()
    }
    seen, unseen, failed = applied(loaded.stack, deployed, places)
    return Gathered(proof, no_proof, seen, unseen, failed, policies, shares, said.policies)
