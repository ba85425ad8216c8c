"""What a platform can enforce: the questions that negotiation asks, and the answers a plugin gives.

Every field that a stack file sets is a *feature use*. A plugin answers for each whether it is enforced; what it does
not know is unsupported, so that nothing which a person wrote is ever ignored.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any

from provision.diagnostics import Path

if TYPE_CHECKING:  # every process of a plugin imports this module, and only translation needs the models
    from provision.models import Policy, Stack


class Evidence(enum.StrEnum):
    """Kinds of evidence that a policy holds."""

    TRANSLATED = "translated"
    ACCEPTED = "accepted"
    EFFECTIVE = "effective"
    PROBED = "probed"


@dataclass(frozen=True, slots=True)
class FeatureUse:
    """One thing that the stack file asks for.

    Attributes:
        feature: its kind: field names joined by dots, names of maps and list positions left out, the kind of a policy
            or image put in: `machines.disks.encrypted`, `isolation.policies.traffic.allow`.
        path: where it stands in the file.
        value: the validated value.
        owner: the model that holds the field.
    """

    feature: str
    path: Path
    value: Any
    owner: Any = None


@dataclass(frozen=True, slots=True)
class Support:
    """The answer for one feature use.

    Attributes:
        enforced: whether the platform does what is asked.
        reason: why not, in words for the author of the file.
        fix: what to write instead.
        evidence: kinds of evidence that can be had when it is enforced.
    """

    enforced: bool
    reason: str = ""
    fix: str = ""
    evidence: frozenset[Evidence] = frozenset()


ENFORCED = Support(True)


def unsupported(reason: str, fix: str = "") -> Support:
    """The platform cannot do it."""
    return Support(False, reason, fix)


@dataclass(frozen=True, slots=True)
class Objection:
    """What a platform cannot do of a stack as a whole, though it could do each field of it.

    Attributes:
        path: what is refused in the file: a policy, such as `("isolation", "policies", NAME)`, or something else.
        reason: why, in words for the author of the file, with the numbers.
        fix: what to write instead.
        warns: it is done all the same, and told as a warning: where the author of the file asked for no more.
    """

    path: Path
    reason: str
    fix: str = ""
    warns: bool = False


class Verdict(enum.StrEnum):
    """What becomes of a policy."""

    ENFORCE = "enforce"
    DOWNGRADE = "downgrade"


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of negotiation for one policy."""

    policy: str
    kind: str
    verdict: Verdict
    reason: str = ""
    evidence: frozenset[Evidence] = frozenset()


def enforced(stack: "Stack", decisions: Mapping[str, Decision]) -> "Iterator[tuple[str, Policy]]":
    """The policies of a stack that are to be carried out, by name: all that negotiation did not downgrade."""
    for name, policy in stack.isolation.policies.items():
        if name not in decisions or decisions[name].verdict is not Verdict.DOWNGRADE:
            yield name, policy


@dataclass(frozen=True)
class NicAddress:
    """The addresses of one NIC, fixed by the file or derived once and kept."""

    network: str
    mac: str
    ipv4: str | None = None
    ipv6: str | None = None


@dataclass(frozen=True)
class Capabilities:
    """What the live platform said it can do, asked once per run; plain data, so that it can be recorded and replayed.

    Attributes:
        platform: name of the plugin.
        facts: answers by a name of the plugin's choice.
        identity: which hypervisor or account it is, however it is reached (a host's UUID); when that changes, what was
            made there is made anew. Empty: nobody knows, and it is taken for the same.
    """

    platform: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    identity: str = ""


@dataclass(frozen=True)
class TranslationRequest:
    """All that a translation may depend on: the same request gives the same graph.

    Attributes:
        stack: the stack file, with parameters filled in.
        project: Pulumi project.
        stack_name: Pulumi stack; `project-stack-machine[-part]` are the native names.
        capabilities: what the platform can do.
        decisions: by name of policy; a downgraded policy is not to be emitted.
        addresses: per machine instance (`web-0`), its NICs in order.
        directory: folder of the stack file, for files that it names.
        user_data: by machine instance, templates filled in.
        elsewhere: prefixes of the stack's networks at other locations, to which there is a way. They are not `outside`;
            policies name them by address.
    """

    stack: "Stack"
    project: str
    stack_name: str
    capabilities: Capabilities
    decisions: Mapping[str, Decision]
    addresses: Mapping[str, tuple[NicAddress, ...]]
    directory: str = "."
    user_data: Mapping[str, Any] = field(default_factory=dict)
    elsewhere: tuple[IPv4Network | IPv6Network, ...] = ()
