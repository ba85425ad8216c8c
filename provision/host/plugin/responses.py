"""Between the protocol's messages and the values and findings of this host."""

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from google.protobuf import struct_pb2

from provision.errors import PluginError
from provision.host.aborting import Abort
from provision.host.plugin.checking import Failure
from provision.host.plugin.diffing import Difference, Kind
from provision.host.plugin.masking import Masker
from provision.host.plugin.names import Autonaming, Mode
from provision.host.plugin.state import Plan, Unhealthy
from provision.host.protocol import provider_pb2
from provision.host.values import decode_struct, encode_struct

_KINDS = {
    (Kind.ADD, False): provider_pb2.PropertyDiff.ADD,
    (Kind.ADD, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (Kind.DELETE, False): provider_pb2.PropertyDiff.DELETE,
    (Kind.DELETE, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    (Kind.UPDATE, False): provider_pb2.PropertyDiff.UPDATE,
    (Kind.UPDATE, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


def decoded(values: struct_pb2.Struct) -> dict[str, Any]:
    """Properties as values: outputs and references count as what they stand for, secrets stay wrapped."""
    return decode_struct(values, keep_outputs=False, keep_resources=False)


def encoded(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Properties outside a preview.

    Raises:
        PluginError: they hold something that Pulumi cannot carry, such as an unknown.
    """
    try:
        return encode_struct(values, keep_unknowns=False)
    except ValueError as error:
        raise PluginError(f"what the plugin returned cannot be sent to Pulumi: {error}") from error


def check_response(checked: Mapping[str, Any], failures: Sequence[Failure], mask: Masker) -> provider_pb2.CheckResponse:
    """The answer to a check; nothing is checked where something failed."""
    if failures:
        return provider_pb2.CheckResponse(
            failures=[provider_pb2.CheckFailure(property=item.property, reason=mask(item.reason)) for item in failures]
        )
    return provider_pb2.CheckResponse(inputs=encode_struct(checked))


def diff_response(
    found: Sequence[Difference], delete_first: bool = False, stables: Sequence[str] = (), upgraded: bool = False
) -> provider_pb2.DiffResponse:
    """The answer to a diff; state that was `upgraded` is written anew by an update, even when nothing differs."""
    detailed = {
        item.wire_path: provider_pb2.PropertyDiff(kind=_KINDS[item.kind, item.replaces], inputDiff=True)
        for item in found
    }
    changes = provider_pb2.DiffResponse.DIFF_SOME if found or upgraded else provider_pb2.DiffResponse.DIFF_NONE
    return provider_pb2.DiffResponse(
        changes=changes,
        diffs=list(dict.fromkeys(str(item.path[0]) for item in found)),
        replaces=list(dict.fromkeys(str(item.path[0]) for item in found if item.replaces)),
        detailedDiff=detailed,
        hasDetailedDiff=True,
        deleteBeforeReplace=delete_first,
        stables=list(stables),
    )


def plan_response(plan: Plan, delete_first: bool) -> provider_pb2.DiffResponse:
    """The answer to the diff of a resource."""
    return diff_response(plan.differences, delete_first, plan.stables, plan.upgraded)


def autonaming(request: provider_pb2.CheckRequest) -> Autonaming | None:
    """What Pulumi's configuration says of automatic names; None when it says nothing."""
    if not request.HasField("autonaming"):
        return None
    name = provider_pb2.CheckRequest.AutonamingOptions.Mode.Name(request.autonaming.mode)
    return Autonaming(Mode[name], request.autonaming.proposed_name)


def init_failed(error: Unhealthy, mask: Masker) -> Abort:
    """The status of an object that exists but is not healthy: the engine records it with the reasons."""
    detail = provider_pb2.ErrorResourceInitFailed(
        id=error.state.id,
        properties=encoded(error.state.outputs),
        reasons=[mask(reason) for reason in error.reasons],
        inputs=encoded(error.state.inputs or {}),
    )
    return Abort(grpc.StatusCode.FAILED_PRECONDITION, mask(error.summary), detail)
