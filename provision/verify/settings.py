"""What native settings say of policies and shares before anything is made: the evidence *translated* beside packets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provision.models import Policy, Share
from provision.spi import CanReadSettings, Evidence, SettingsRequest, Shown
from provision.translate.instances import instances
from provision.verify.held import Held, entries, held
from provision.verify.proof.planned import Part

_NOTHING = "no native setting or rule carries it"


@dataclass(frozen=True)
class Settings:
    """What they say.

    Attributes:
        policies: by name of policy; those that packet rules alone carry out are not there.
        shares: by name of share.
    """

    policies: Mapping[str, Held] = field(default_factory=dict)
    shares: Mapping[str, Held] = field(default_factory=dict)

    @property
    def wrong(self) -> tuple[str, ...]:
        """What contradicts the file, each in one line."""
        return tuple(
            f"{what} '{name}': {item.text}"
            for what, found in (("policy", self.policies), ("share", self.shares))
            for name, item in found.items()
            if item.holds is False
        )

    @property
    def summary(self) -> str:
        """All of it in one line."""
        found = (*self.policies.values(), *self.shares.values())
        right = sum(item.holds is True for item in found)
        unseen = sum(item.holds is None for item in found)
        more = f"; of {unseen} nothing can be read there" if unseen else ""
        return f"settings: {right} of {len(found)} policies and shares beside packets are as the file says{more}"

    def as_data(self) -> list[dict[str, Any]]:
        """All of it as plain data, in a schema that stays."""
        return [
            {"kind": what, "name": name, "holds": item.holds, "text": item.text}
            for what, found in (("policy", self.policies), ("share", self.shares))
            for name, item in found.items()
        ]


def read_settings(parts: Sequence[Part], packets: tuple[type, ...] = ()) -> Settings:
    """Ask the plugins of all locations.

    Args:
        parts: what the translation made in each.
        packets: kinds of policies of which nothing is told when no setting speaks of them: packet rules do.
    """
    policies: dict[str, list[tuple[str, Sequence[Shown] | str]]] = {}
    shares: dict[str, list[tuple[str, Sequence[Shown] | str]]] = {}
    kinds: dict[str, type] = {}
    for part in parts:
        for name, policy, answers in _of(part):
            found = shares if isinstance(policy, Share) else policies
            found.setdefault(name, []).extend(answers)
            kinds[name] = type(policy)
    told = {
        name: _held(answers)
        for name, answers in policies.items()
        if any(answer for _, answer in answers) or not issubclass(kinds[name], packets)
    }
    return Settings(told, {name: _held(answers) for name, answers in shares.items()})


def _of(part: Part) -> list[tuple[str, Policy | Share, list[tuple[str, Sequence[Shown] | str]]]]:
    """Each policy and share, with what every machine of the location says of it."""
    stack, without = part.stack, frozenset(part.without)
    asked: list[tuple[str, Policy | Share]] = [
        *((name, policy) for name, policy in stack.isolation.policies.items() if name not in without),
        *stack.sharing.shares.items(),
    ]
    chosen = [entries(stack, item) for _, item in asked]
    everyone = list(instances(stack))
    members = [tuple(one.name for one in everyone if one.entry in those) for those in chosen]
    found: list[list[tuple[str, Sequence[Shown] | str]]] = [[] for _ in asked]
    for instance in everyone:
        about = [index for index, those in enumerate(chosen) if instance.entry in those]
        if not about or instance.name not in part.addresses:
            continue
        for index, answer in zip(about, _look(part, instance.name, asked, about, members), strict=True):
            found[index].append((instance.name, answer))
    return [(name, item, answers) for (name, item), answers in zip(asked, found, strict=True)]


def _look(
    part: Part,
    machine: str,
    asked: Sequence[tuple[str, Policy | Share]],
    about: Sequence[int],
    members: Sequence[tuple[str, ...]],
) -> Sequence[Sequence[Shown] | str]:
    reader = part.reader
    if not isinstance(reader, CanReadSettings):
        none = Shown(Evidence.TRANSLATED, None, "the plugin cannot read its native settings back")
        return [[none] for _ in about]
    request = SettingsRequest(
        part.graph,
        part.capabilities,
        machine,
        tuple(asked[index][1] for index in about),
        tuple(members[index] for index in about),
    )
    answers = list(reader.read_settings(request))
    if len(answers) != len(about):
        return [f"the plugin gave {len(answers)} answers to {len(about)} questions"] * len(about)
    return answers


def _held(answers: Sequence[tuple[str, Sequence[Shown] | str]]) -> Held:
    if not any(answer for _, answer in answers):
        return Held(None, _NOTHING)
    kind = Evidence.TRANSLATED
    found = held([one for one in answers if one[1]], (kind,))[kind]
    return Held(found.holds, found.text, found.failed, said=True)
