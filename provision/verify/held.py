"""What is held of a policy or share: what machines show of it, one by one and together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from provision.models import PeerKind, Policy, Selector, Share, Stack, TrafficPolicy
from provision.spi import Evidence, Shown
from provision.translate.instances import selected

LIVE = (Evidence.ACCEPTED, Evidence.EFFECTIVE)
"""Kinds of evidence that a live machine shows."""


@dataclass(frozen=True, slots=True)
class Held:
    """One kind of evidence of one policy.

    Attributes:
        holds: whether what was seen agrees; None when this kind cannot be had.
        text: what was seen, or why nothing.
        failed: whether something should have been seen and could not, which proves nothing.
        said: whether it only says what is to be, so that alone it proves nothing of what is.
    """

    holds: bool | None
    text: str
    failed: bool = False
    said: bool = False


UNSPOKEN = Held(None, "no packet rule speaks of this kind of policy")


def entries(stack: Stack, policy: Policy | Share) -> frozenset[str]:
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


def held(
    seen: Sequence[tuple[str, Sequence[Shown] | str]], kinds: Iterable[Evidence] = LIVE
) -> Mapping[Evidence, Held]:
    """What all machines together show, for each of some kinds; a text says why one of them shows nothing."""
    failures = [(name, answer) for name, answer in seen if isinstance(answer, str)]
    found: dict[Evidence, Held] = {}
    for kind in kinds:
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
