"""The least that whoever runs this must be allowed: an IAM policy, made from what the types of resources ask for."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from provision.spi import Node, Output, ResourceGraph, ResourceType
from provision_aws.iam_actions import ACTIONS, ASKED, DESTROYING, KEYS, OF_MANY, VERIFIED
from provision_aws.ownership import STACK_TAG

_LOOKING = ("Describe", "Get", "List")
_MAKING = ("Allocate", "Authorize", "Create", "Import", "Run")
_PARTS = ("CreateRoute", "CreateTags")
"""Actions that begin as those do which make something with tags, and make none."""


def policy(types: Iterable[type[ResourceType[Any, Any, Any]]], graph: ResourceGraph | None = None) -> dict[str, Any]:
    """The policy document.

    Args:
        types: all types of resources.
        graph: what a stack consists of: then the policy is for that alone.
    """
    used = {node.type.token for node in graph.nodes} if graph is not None else None
    wanted = [kind for kind in types if used is None or kind.token in used]
    actions = {f"ec2:{action}" for kind in wanted for action in (*ACTIONS[kind.token], *_looks(kind))}
    actions |= {*ASKED, *VERIFIED}
    statements = [
        _statement("Look", [one for one in actions if _begins(one, _LOOKING)]),
        _statement("Change", [one for one in actions if not _begins(one, _LOOKING) and not _destroys(one)]),
        _statement("DestroyOnlyWhatCarriesTheMarker", [one for one in actions if _destroys(one)], _marked()),
        _statement("MarkWhatIsMade", ["ec2:CreateTags"], {"StringEquals": {"ec2:CreateAction": _makes(actions)}}),
        _statement("TagOnlyWhatCarriesTheMarker", ["ec2:CreateTags", "ec2:DeleteTags"], _marked()),
        *_extras(list(graph.nodes) if graph is not None else None),
    ]
    return {"Version": "2012-10-17", "Statement": [one for one in statements if one["Action"]]}


def allowed(document: Mapping[str, Any]) -> frozenset[str]:
    """All actions that a policy allows in some way."""
    return frozenset(action for statement in document["Statement"] for action in statement["Action"])


def _looks(kind: Any) -> Iterator[str]:
    """How objects of the type are looked at."""
    for name in ("kind", "whole"):
        found = getattr(kind, name, None)
        if found is not None:
            yield "".join(word.capitalize() for word in found.describe.split("_"))


def _begins(action: str, words: Collection[str]) -> bool:
    return action.partition(":")[2].startswith(tuple(words))


def _destroys(action: str) -> bool:
    return _begins(action, DESTROYING) and action.partition(":")[2] not in OF_MANY


def _makes(actions: Iterable[str]) -> list[str]:
    """Actions that make something and tag it."""
    names = (action.partition(":")[2] for action in actions)
    return sorted(name for name in names if name.startswith(_MAKING) and name not in _PARTS)


def _marked() -> dict[str, Any]:
    return {"Null": {f"aws:ResourceTag/{STACK_TAG}": "false"}}


def _extras(nodes: list[Node] | None) -> Iterator[dict[str, Any]]:
    """What only some stacks need; without nodes, whatever any stack may."""
    if nodes is None or any(_has(node, "ssm_parameter") for node in nodes):
        yield _statement("FindImages", ["ssm:GetParameter"])
    if nodes is None or any(_has(node, "kms_key_id") for node in nodes):
        yield _statement("EncryptDisks", KEYS)
    if nodes is None or any(node.inputs.get("iam_instance_profile") for node in nodes):
        service = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
        yield _statement("GiveMachinesTheirRole", ["iam:PassRole"], service)


def _has(node: Node, name: str) -> bool:
    return any(_holds(value, name) for value in node.inputs.values()) or bool(node.inputs.get(name))


def _holds(value: Any, name: str) -> bool:
    if isinstance(value, Mapping):
        return bool(value.get(name)) or any(_holds(item, name) for item in value.values())
    if isinstance(value, list | tuple) and not isinstance(value, Output):
        return any(_holds(item, name) for item in value)
    return False


def _statement(name: str, actions: Iterable[str], condition: Mapping[str, Any] | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"Sid": name, "Effect": "Allow", "Action": sorted(actions), "Resource": "*"}
    return made if condition is None else made | {"Condition": condition}
