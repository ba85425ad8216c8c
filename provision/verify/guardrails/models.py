"""What a rules file can say: rules of an organisation that every stack file has to keep."""

import enum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from provision.models import Peer, PeerKind, Selector
from provision.models.base import Model, Name
from provision.packets import ANY_SERVICE, Service


class RuleLevel(enum.StrEnum):
    """What a broken rule does: `required` stops the run before anything is made, `warn` is told and goes on."""

    REQUIRED = "required"
    WARN = "warn"


def _no_reference(peer: Peer) -> Peer:
    if peer.kind is PeerKind.REFERENCE:
        raise ValueError(f"'{peer}': a rules file knows no references; write the prefix itself, such as 10.0.0.0/8")
    return peer


End = Annotated[Peer, AfterValidator(_no_reference)]


class _Rule(Model):
    level: Annotated[RuleLevel, Field(description="required (stop the run) or warn (tell, and go on).")] = (
        RuleLevel.REQUIRED
    )
    description: Annotated[str, Field(description="Why there is such a rule; told to whoever breaks it.")] = ""


class UnreachableRule(_Rule):
    """No packet may get from one side to the other."""

    kind: Literal["unreachable"]
    sources: Annotated[list[End], Field(alias="from", min_length=1, description="Who must not reach them.")]
    destinations: Annotated[list[End], Field(alias="to", min_length=1, description="Who must not be reached.")]
    services: Annotated[list[Service], Field(min_length=1, description="By which services; default: any.")] = [
        ANY_SERVICE
    ]


class OnlyFromRule(_Rule):
    """Nobody but those named may reach them: no other machine, not the host, nothing outside."""

    kind: Literal["only_from"]
    sources: Annotated[list[End], Field(alias="from", min_length=1, description="Who alone may reach them.")]
    destinations: Annotated[list[End], Field(alias="to", min_length=1, description="Who is reached.")]
    services: Annotated[list[Service], Field(min_length=1, description="By which services; default: any.")] = [
        ANY_SERVICE
    ]


class NoSharedNetworkRule(_Rule):
    """Two groups of machines are never on one network."""

    kind: Literal["no_shared_network"]
    machines: Annotated[list[Selector], Field(min_length=1, description="The machines of one group.")]
    others: Annotated[list[Selector], Field(min_length=1, description="Those of the other.")]


class EncryptedDisksRule(_Rule):
    """All disks of the machines are encrypted, by the disk itself or by a required policy `disk_encryption`."""

    kind: Literal["encrypted_disks"]
    machines: Annotated[list[Selector], Field(min_length=1, description="The machines that it speaks of.")]
    boot: Annotated[bool, Field(description="Whether the disks that they boot from count too.")] = True


class DefaultDenyRule(_Rule):
    """The file does not say `default: allow`."""

    kind: Literal["default_deny"]


class PolicyRequiredRule(_Rule):
    """Each of the machines has policies of these kinds, with `level: required`."""

    kind: Literal["policy_required"]
    machines: Annotated[list[Selector], Field(min_length=1, description="The machines that it speaks of.")]
    policies: Annotated[
        list[
            Literal[
                "anti_spoofing", "peer_isolation", "no_internet", "no_host_access", "metadata", "spread", "pack",
                "single_tenancy", "dedicated_cpus", "memory", "disk_encryption", "secure_boot", "memory_encryption",
                "confinement", "hide_hypervisor",
            ]
        ],
        Field(min_length=1, description="Kinds of policies, as `isolation.policies` names them."),
    ]  # fmt: skip


Rule = Annotated[
    UnreachableRule | OnlyFromRule | NoSharedNetworkRule | EncryptedDisksRule | DefaultDenyRule | PolicyRequiredRule,
    Field(discriminator="kind"),
]


class Rules(Model):
    """A rules file."""

    version: Annotated[Literal[1], Field(description="Version of the grammar; defaults change only with it.")]
    description: Annotated[str, Field(description="Whose rules these are.")] = ""
    rules: Annotated[dict[Name, Rule], Field(description="Rules by name.")] = {}


def json_schema() -> dict[str, Any]:
    """The schema of a rules file, by the keys that a person writes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rules file",
        **_with_free_keys(Rules.model_json_schema(by_alias=True)),
    }


def _with_free_keys(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_with_free_keys(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    done = {
        key: _with_free_keys(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)
    }
    if done.get("additionalProperties") is False:
        done["patternProperties"] = {"^x-": {}}
    elif "patternProperties" in done:  # a map of names: pydantic lets a name that does not match pass
        done["additionalProperties"] = False
    return done
