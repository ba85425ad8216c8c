"""`provision:index:Inputs`: remembers the inputs of a component, so that a preview can go on with their last values.

In a preview an input that comes from another resource may not be known, for example because that resource is about to
be replaced. Without its last value the preview could only show everything that depends on it as deleted.
"""

from collections.abc import Mapping
from typing import Any

import grpc

from provision.host.component.refusing import Refused
from provision.host.component.schema import INPUTS
from provision.host.protocol import provider_pb2
from provision.host.values import decode_struct, encode_struct, plain
from provision.spi import has_unknown

REMEMBERED = ("parameters", "settings")
"""The inputs that are maps of values which may come from elsewhere."""

PROVIDERS = "providers"
"""Under this key: what the provider resources are configured with, by `package:setting`."""


def check(request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
    """The inputs, with the last value of what is not known."""
    news, olds = decode_struct(request.news), decode_struct(request.olds)
    return provider_pb2.CheckResponse(inputs=encode_struct({key: recall(news[key], olds.get(key)) for key in news}))


def recall(new: Any, old: Any) -> Any:
    """One map of values, with the last value of what is not known; what was not known before stays so."""
    if not isinstance(new, Mapping) or not isinstance(old, Mapping):
        return new
    return {
        key: old[key] if has_unknown(plain(value)) and key in old and not has_unknown(plain(old[key])) else value
        for key, value in new.items()
    }


def diff(request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
    """Any difference is an update in place."""
    olds, news = decode_struct(request.old_inputs), decode_struct(request.news)
    changed = sorted(key for key in {*olds, *news} if olds.get(key) != news.get(key))
    kind = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
    return provider_pb2.DiffResponse(changes=kind, diffs=changed)


def create(request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:
    """Begin to remember."""
    return provider_pb2.CreateResponse(id="inputs", properties=request.properties)


def update(request: provider_pb2.UpdateRequest) -> provider_pb2.UpdateResponse:
    """Remember something else."""
    return provider_pb2.UpdateResponse(properties=request.news)


def read(request: provider_pb2.ReadRequest) -> provider_pb2.ReadResponse:
    """What is remembered is in Pulumi's state alone.

    Raises:
        Refused: it is to be imported.
    """
    if not request.properties.fields and not request.inputs.fields:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"{INPUTS} cannot be imported")
    return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
