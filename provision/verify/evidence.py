"""Evidence beyond probes: the proof of the native rules, what the platform records, what its host applies."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provision.errors import ProvisionError
from provision.loader import Loaded
from provision.models import (
    AntiSpoofingPolicy,
    MetadataPolicy,
    NoHostAccessPolicy,
    NoInternetPolicy,
    PeerIsolationPolicy,
    PeerKind,
    Policy,
    Selector,
    Share,
    Stack,
    TrafficPolicy,
)
from provision.spi import CanReadRules, CanShowEvidence, Evidence, EvidenceRequest, Provider, Shown
from provision.translate import Scope
from provision.translate.instances import instances, selected
from provision.verify.proof import Proof, prove_planned
from provision.verify.state import DeployedStack

OF_PACKETS = (
    TrafficPolicy, AntiSpoofingPolicy, PeerIsolationPolicy, NoInternetPolicy, NoHostAccessPolicy, MetadataPolicy,
)  # fmt: skip
"""Policies that packet rules carry out, so that a proof of the rules speaks of them."""
_LIVE = (Evidence.ACCEPTED, Evidence.EFFECTIVE)


@dataclass(frozen=True, slots=True)
class Held:
    """One kind of evidence of one policy.

    Attributes:
        holds: whether what was seen agrees; None when this kind cannot be had.
        text: what was seen, or why nothing.
        failed: whether something should have been seen and could not, which proves nothing.
    """

    holds: bool | None
    text: str
    failed: bool = False


UNSPOKEN = Held(None, "no packet rule speaks of this kind of policy")


@dataclass(frozen=True)
class Gathered:
    """All evidence but that of probes.

    Attributes:
        proof: of the native rules; None when it cannot be had.
        no_proof: why not.
        policies: by name of policy, what was seen live.
        shares: the same by name of share.
    """

    proof: Proof | None = None
    no_proof: str = "it was not asked"
    policies: Mapping[str, Mapping[Evidence, Held]] = field(default_factory=dict)
    shares: Mapping[str, Mapping[Evidence, Held]] = field(default_factory=dict)

    def of(self, name: str, policy: Policy) -> Mapping[Evidence, Held]:
        """Every kind but *probed* that is known of a policy."""
        return {Evidence.TRANSLATED: self._translated(policy), **self.policies.get(name, {})}

    def _translated(self, policy: Policy) -> Held:
        if not isinstance(policy, OF_PACKETS):
            return UNSPOKEN
        if self.proof is None:
            return Held(None, self.no_proof)
        if self.proof.differences:
            count = len(self.proof.differences)
            return Held(False, f"{count} difference{'s' * (count != 1)} between the native rules and the file")
        if self.proof.unmodelled:
            return Held(None, f"not understood: {self.proof.unmodelled[0]}", failed=True)
        return Held(True, "the native rules let pass what the file allows, and nothing else")


def translated(
    loaded: Loaded, deployed: DeployedStack, provider: Provider[Any, Any], session: Any
) -> tuple[Proof | None, str]:
    """The proof of the stack's native rules with the addresses that it has; else why there is none."""
    if not isinstance(provider, CanReadRules):
        return None, f"the plugin '{provider.name}' cannot read its native rules back"
    scope = Scope(deployed.project, deployed.name, str(loaded.directory))
    try:
        return prove_planned(loaded, provider, provider.capabilities(session), scope, deployed.recorded), ""
    except ProvisionError as error:
        return None, f"the stack file could not be translated: {error.summary}"


def live(
    stack: Stack, deployed: DeployedStack, provider: Provider[Any, Any], session: Any
) -> tuple[Mapping[str, Mapping[Evidence, Held]], Mapping[str, Mapping[Evidence, Held]]]:
    """What every machine shows of the policies and shares that select it; by name of policy, and by name of share."""
    downgraded = {record.name for record in deployed.downgraded}
    policies: dict[str, Policy | Share] = {
        name: policy for name, policy in stack.isolation.policies.items() if name not in downgraded
    }
    shares: dict[str, Policy | Share] = {**stack.sharing.shares}
    if not isinstance(provider, CanShowEvidence):
        none = dict.fromkeys(_LIVE, Held(None, f"the plugin '{provider.name}' cannot show it"))
        return dict.fromkeys(policies, none), dict.fromkeys(shares, none)
    asked = [*policies.values(), *shares.values()]
    entries = [_entries(stack, item) for item in asked]
    seen: list[list[tuple[str, Sequence[Shown] | str]]] = [[] for _ in asked]
    for instance in instances(stack):
        about = [index for index, those in enumerate(entries) if instance.entry in those]
        machine = deployed.machines.get(instance.name)
        if about and machine is not None:
            request = EvidenceRequest(machine, tuple(asked[index] for index in about), deployed.shared)
            for index, answer in zip(about, _look(provider, session, request), strict=True):
                seen[index].append((instance.name, answer))
    held = [_held(answers) for answers in seen]
    return (
        dict(zip(policies, held[: len(policies)], strict=True)),
        dict(zip(shares, held[len(policies) :], strict=True)),
    )


def _entries(stack: Stack, policy: Policy | Share) -> frozenset[str]:
    """The machines that a policy speaks of; of traffic those of both sides, and all when addresses are a side."""
    if not isinstance(policy, TrafficPolicy):
        return selected(stack, policy.machines)
    found: set[str] = set()
    for peer in (*policy.sources, *policy.destinations):
        if peer.kind in (PeerKind.MACHINE, PeerKind.LABEL):
            found |= selected(stack, [Selector.parse(str(peer))])
        elif peer.kind is PeerKind.NETWORK:
            found |= {
                entry
                for entry, machine in stack.machines.items()
                if any(nic.network == peer.name for nic in machine.nics)
            }
        elif peer.kind is PeerKind.CIDR:
            found |= stack.machines.keys()
    return frozenset(found)


def _look(provider: CanShowEvidence, session: Any, request: EvidenceRequest) -> Sequence[Sequence[Shown] | str]:
    """The answers of the plugin, or the same reason for each when it has none."""
    asked = request.asked
    try:
        answers = list(provider.evidence(session, request))
    except ProvisionError as error:
        return [error.summary] * len(asked)
    except Exception as error:  # a plugin's defect must not hide what is known of other machines
        return [f"the plugin failed: {str(error).partition(chr(10))[0] or type(error).__name__}"] * len(asked)
    if len(answers) != len(asked):
        return [f"the plugin gave {len(answers)} answers to {len(asked)} questions"] * len(asked)
    return answers


def _held(seen: Sequence[tuple[str, Sequence[Shown] | str]]) -> Mapping[Evidence, Held]:
    """What all machines together show, for each kind."""
    failures = [(name, answer) for name, answer in seen if isinstance(answer, str)]
    found: dict[Evidence, Held] = {}
    for kind in _LIVE:
        looks = [
            (name, look) for name, answer in seen if not isinstance(answer, str) for look in answer if look.kind is kind
        ]
        wrong = [(name, look.text) for name, look in looks if look.holds is False]
        unseen = [(name, look.text) for name, look in looks if look.holds is None]
        if wrong:
            found[kind] = Held(False, _told(wrong))
        elif failures:
            found[kind] = Held(None, _told(failures), failed=True)
        elif unseen:
            found[kind] = Held(None, "; ".join(dict.fromkeys(text for _, text in unseen)))
        elif looks:
            found[kind] = Held(True, _told([(name, look.text) for name, look in looks]))
        else:
            why = "the plugin has none for this kind of policy" if seen else "no machine that it selects is deployed"
            found[kind] = Held(None, why)
    return found


def _told(seen: Iterable[tuple[str, str]]) -> str:
    """What machines show, each thing said once: `web-0, web-1: page sharing off; db: …`."""
    texts: dict[str, list[str]] = {}
    for name, text in seen:
        texts.setdefault(name, []).append(text)
    names: dict[str, list[str]] = {}
    for name, parts in texts.items():
        names.setdefault(", ".join(dict.fromkeys(parts)), []).append(name)
    return "; ".join(f"{', '.join(who)}: {text}" for text, who in names.items())


def gather(loaded: Loaded, deployed: DeployedStack, provider: Provider[Any, Any], session: Any) -> Gathered:
    """Everything that is known without sending packets."""
    proof, no_proof = translated(loaded, deployed, provider, session)
    policies, shares = live(loaded.stack, deployed, provider, session)
    return Gathered(proof, no_proof, policies, shares)
