"""Makes native resources on a real hypervisor, without the framework between, and removes them again."""

import hashlib
import time
from dataclasses import dataclass
from typing import Any

from provision_libvirt.resources import Network

from provision.errors import RetriableError
from provision.spi import Created, CreateRequest, DeleteRequest, Operation, ReadRequest, UpdateRequest

STACK = "0123456789abcdef"
POOL = "shop-dev"


@dataclass(frozen=True)
class Thing:
    """A resource as the engine's state would have it."""

    kind: Any
    operation: Operation
    inputs: Any
    id: str
    outputs: Any

    def read(self):
        return self.kind().read(ReadRequest(self.operation, self.id, self.inputs, self.outputs))

    def drift(self) -> set[str]:
        seen = self.read()
        assert seen is not None
        return {
            name for name in self.kind.Inputs.model_fields if getattr(seen.inputs, name) != getattr(self.inputs, name)
        }

    def update(self, retry=False, **changes):
        inputs = self.kind.Inputs.model_validate({**self.inputs.model_dump(), **changes})
        request = UpdateRequest(self.operation, self.id, inputs, self.inputs, self.outputs, retry)
        return Thing(self.kind, self.operation, inputs, self.id, self.kind().update(request).outputs)

    def again(self, **changes):
        """Create once more, as after a run that was killed before the state was written."""
        inputs = self.kind.Inputs.model_validate({**self.inputs.model_dump(), **changes})
        made: Created[Any] = self.kind().create(CreateRequest(self.operation, inputs))
        return Thing(self.kind, self.operation, inputs, made.id, made.outputs)

    def delete(self):
        self.kind().delete(DeleteRequest(self.operation, self.id, self.inputs, self.outputs))


def _lucky(create, tries=20):
    """What the framework does too: QEMU cannot always time the key of an encrypted volume on a busy machine."""
    for _ in range(tries):
        try:
            return create()
        except RetriableError as error:
            if "accurate CPU usage" not in error.summary:
                raise
            time.sleep(0.2)
    return create()


class Bench:
    """Makes resources and removes them again."""

    def __init__(self, session):
        self.session = session
        self.connection = session.connection()
        self.reports: list[str] = []
        self.notes: list[str] = []
        self.made: list[Thing] = []

    def make(self, kind, name, /, stack=STACK, cancelled=lambda: False, **inputs):
        operation = Operation(
            urn=f"urn:pulumi:dev::shop::provision-libvirt:{kind.token}::{name}",
            session=self.session,
            report=self.reports.append,
            note=self.notes.append,
            cancelled=cancelled,
            wait=lambda seconds: time.sleep(seconds) or cancelled(),
        )
        model = kind.Inputs(stack_id=stack, **inputs)
        made = _lucky(lambda: kind().create(CreateRequest(operation, model)))
        thing = Thing(kind, operation, model, made.id, made.outputs)
        self.made.append(thing)
        return thing

    def remove(self):
        for thing in reversed(self.made):
            thing.delete()


def network(bench, **changes):
    inputs = {
        "pool": POOL,
        "name": "shop-dev-front",
        "mode": "routed",
        "bridge": "pv-front",
        "ipv4": {"address": "10.77.0.1", "prefix": 24},
        "ipv6": {"address": "fd77::1", "prefix": 64},
        "domain": "front.test",
        "mtu": 1400,
        "dhcp_hosts": [{"mac": "02:00:00:00:00:0a", "ip": "10.77.0.10", "name": "web"}],
        "dns_hosts": [{"ip": "10.77.0.10", "names": ["web", "www"]}],
    }
    return bench.make(Network, "front", **{**inputs, **changes})


RULES = [
    {
        "action": "accept",
        "direction": "in",
        "priority": 100,
        "protocol": "tcp",
        "attributes": {"dstportstart": "80", "srcipaddr": "10.0.0.0", "srcipmask": "255.0.0.0"},
    },
    {"action": "drop", "direction": "inout", "priority": 900, "protocol": "all-ipv6"},
]


def local_image(tmp_path, size=3_000_000):
    content = (b"image" * size)[:size]
    path = tmp_path / "image.raw"
    path.write_bytes(content)
    return content, {"kind": "file", "path": str(path), "digest": hashlib.sha256(content).hexdigest()}
