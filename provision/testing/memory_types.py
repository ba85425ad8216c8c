"""Resource types of the in-memory platform: one of each behaviour that the framework must carry."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import SecretStr

from provision.errors import CreatedButUnhealthy, ForeignObject, NotFound, PlatformError, RetriableError
from provision.spi import (
    Cancelled,
    Checked,
    CheckFailure,
    CheckRequest,
    Created,
    CreateRequest,
    DeleteRequest,
    Operation,
    OwnedInputs,
    Pending,
    Properties,
    Read,
    ReadRequest,
    Replacement,
    ResourceType,
    Updated,
    UpdateRequest,
    native_call,
)
from provision.testing.memory_listing import Listable
from provision.testing.memory_marks import marker, of_stack
from provision.testing.memory_models import (
    GroupInputs,
    GroupOutputs,
    NetworkInputs,
    NetworkOutputs,
    Nic,
    ServerInputs,
    ServerOutputs,
    VolumeInputs,
    VolumeOutputs,
)
from provision.testing.store import Call, Store, StoredObject, kill_self

I = TypeVar("I", bound=OwnedInputs)  # noqa: E741 - inputs
O = TypeVar("O", bound=Properties)  # noqa: E741 - outputs


@dataclass(frozen=True)
class MemorySession:
    """A connection to the platform."""

    store: Store
    region: str


def _attempt(running: Operation, action: str, kind: str, name: str) -> None:
    """Note a call, and let the faults that come before anything is changed happen."""
    native_call(f"memory.{kind.partition(':')[2]}.{action}", lambda: _reached(running, action, kind, name))


def _reached(running: Operation, action: str, kind: str, name: str) -> None:
    store = running.session.store
    store.record(Call(action, kind, name, running.urn))
    fault = store.take_fault(action, kind, name, "fail", "retry", "slow", "defect", "kill-before")
    if fault is None:
        return
    if fault.effect == "fail":
        raise PlatformError(f"the platform refuses to {action} {name}", "ask the platform's owner")
    if fault.effect == "retry":
        raise RetriableError(f"the platform is too busy to {action} {name}")
    if fault.effect == "defect":
        raise KeyError(f"{name} went wrong")
    if fault.effect == "kill-before":
        kill_self()
    running.report(f"waiting for {name}")
    if running.wait(fault.seconds):
        raise Cancelled


class _Typical(Listable, ResourceType[I, O, MemorySession]):
    """What the types share: one object per URN, adopted when an interrupted run left it behind."""

    def _create(self, request: CreateRequest[I], name: str, extra: Mapping[str, Any]) -> StoredObject:
        running, store = request.operation, request.operation.session.store
        _attempt(running, "create", self.token, name)
        mark = marker(request.inputs.stack_id, running.urn)
        found = store.named(self.token, name)
        if found is not None and found.marker != mark:
            raise ForeignObject(
                f"the name '{name}' is taken by an object that this stack did not make",
                "choose another name, remove that object by hand, or import it",
            )
        properties = _clear(request.inputs) | dict(extra)
        if found is not None:  # left behind by an interrupted run: nothing else of this URN lives while we create
            properties["adopted"] = True
        identity = found.id if found else store.new_id(self.token.split(":")[1].lower())
        stored = StoredObject(identity, self.token, name, mark, properties)
        store.put(stored)
        if store.take_fault("create", self.token, name, "kill-after"):
            kill_self()
        return stored

    def _change(self, request: UpdateRequest[I, O], name: str, extra: Mapping[str, Any]) -> StoredObject:
        running, store = request.operation, request.operation.session.store
        _attempt(running, "update", self.token, name)
        found = self._mine(request, request.inputs.stack_id)
        if found is None:
            raise NotFound(f"'{name}' is gone from the platform", "run `pulumi refresh`")
        stored = StoredObject(
            found.id, self.token, name, found.marker, {**found.properties, **_clear(request.inputs), **extra}
        )
        store.put(stored)
        if store.take_fault("update", self.token, name, "kill-after"):
            kill_self()
        return stored

    def _mine(self, request: UpdateRequest[I, O] | ReadRequest[I, O], stack_id: str) -> StoredObject | None:
        found: StoredObject | None = request.operation.session.store.get(self.token, request.id)
        if found is not None and found.marker and not of_stack(found.marker, stack_id):
            raise ForeignObject(f"'{found.name}' belongs to another stack", "remove it from this one")
        return found

    def delete(self, request: DeleteRequest[I, O]) -> None:
        """Remove the object, if it is there and ours."""
        store = request.operation.session.store
        found = store.get(self.token, request.id)
        _attempt(request.operation, "delete", self.token, found.name if found else request.id)
        if found is None:
            raise NotFound(f"{request.id} is gone already")
        stack_id = request.inputs.stack_id if request.inputs else ""
        if found.marker and not of_stack(found.marker, stack_id):
            raise ForeignObject(f"'{found.name}' belongs to another stack: it is left alone")
        store.remove(found.id)

    def _look(self, request: ReadRequest[I, O]) -> StoredObject | None:
        name = getattr(request.inputs, "name", request.id)
        _attempt(request.operation, "read", self.token, name)
        if request.inputs is None:
            found: StoredObject | None = request.operation.session.store.get(self.token, request.id)
            return found
        return self._mine(request, request.inputs.stack_id)


def _clear(inputs: Properties) -> dict[str, Any]:
    """What the platform keeps of the inputs; like any platform it has the secrets, but not the stack's identity."""
    kept = inputs.model_dump(mode="python", exclude={"stack_id"})
    return {key: item.get_secret_value() if isinstance(item, SecretStr) else item for key, item in kept.items()}


class Server(_Typical[ServerInputs, ServerOutputs]):
    """A machine: nested inputs, secrets, immutable fields, computed outputs; deleted before it is made again."""

    token: ClassVar[str] = "compute:Server"
    Inputs: ClassVar[type[Properties]] = ServerInputs
    Outputs: ClassVar[type[Properties]] = ServerOutputs

    def create(self, request: CreateRequest[ServerInputs]) -> Created[ServerOutputs]:
        """Make and start it."""
        stored = self._create(request, request.inputs.name, {"starts": 1})
        request.operation.made(stored.id, self._outputs(stored).model_dump())
        self._await_start(request.operation, "create", stored)
        self._await_health(request.operation, "create", stored)
        return Created(stored.id, self._outputs(stored))

    def update(self, request: UpdateRequest[ServerInputs, ServerOutputs]) -> Updated[ServerOutputs]:
        """Change it, with a restart where that is needed, and wait for its health."""
        restarts = any(
            getattr(request.inputs, name) != getattr(request.old_inputs, name)
            for name in ("cpus", "memory_mib", "power")
        )
        starts = getattr(request.outputs, "starts", 1) + (1 if restarts or request.retry else 0)
        stored = self._change(request, request.inputs.name, {"starts": starts})
        self._await_health(request.operation, "update", stored)
        return Updated(self._outputs(stored))

    def read(self, request: ReadRequest[ServerInputs, ServerOutputs]) -> Read[ServerInputs, ServerOutputs] | None:
        """What it is now; the password cannot be read back."""
        stored = self._look(request)
        if stored is None:
            return None
        values = {key: item for key, item in stored.properties.items() if key in ServerInputs.model_fields}
        values |= {"password": None, "stack_id": request.inputs.stack_id if request.inputs else ""}
        return Read(stored.id, ServerInputs.model_validate(values), self._outputs(stored))

    def _await_start(self, running: Operation, action: str, stored: StoredObject) -> None:
        fault = running.session.store.take_fault(action, self.token, stored.name, "starting")
        if fault is None:
            return
        if fault.text:
            running.note(fault.text)
        end = time.monotonic() + fault.seconds
        running.wait_until(lambda: time.monotonic() >= end or Pending(f"{stored.name} is starting"))

    def _await_health(self, running: Operation, action: str, stored: StoredObject) -> None:
        fault = running.session.store.take_fault(action, self.token, stored.name, "unhealthy")
        if fault is not None:
            tail = fault.text or f"console of {stored.name}: kernel panic"
            outputs = self._outputs(stored).model_dump()
            raise CreatedButUnhealthy(f"{stored.name} did not start", id=stored.id, outputs=outputs, reasons=[tail])

    def _outputs(self, stored: StoredObject) -> ServerOutputs:
        values = stored.properties
        address = next((nic["address"] for nic in values["nics"] if nic["address"]), None)
        return ServerOutputs(
            name=stored.name,
            nics=[Nic.model_validate(nic) for nic in values["nics"]],
            password=values["password"],
            uuid=stored.marker,
            address=address,
            starts=values.get("starts", 1),
        )


class Volume(_Typical[VolumeInputs, VolumeOutputs]):
    """A disk that only grows, which its `check` says before anything is planned."""

    token: ClassVar[str] = "compute:Volume"
    Inputs: ClassVar[type[Properties]] = VolumeInputs
    Outputs: ClassVar[type[Properties]] = VolumeOutputs

    def check(self, request: CheckRequest) -> Checked:
        """Refuse to shrink."""
        old, new = (request.old_inputs or {}).get("size_gib"), request.inputs.get("size_gib")
        if isinstance(old, int) and isinstance(new, int) and new < old:
            reason = f"cannot shrink from {old} to {new} GiB: the data would be cut off"
            return Checked(request.inputs, [CheckFailure("size_gib", reason)])
        return Checked(request.inputs)

    def create(self, request: CreateRequest[VolumeInputs]) -> Created[VolumeOutputs]:
        """Make it."""
        stored = self._create(request, request.inputs.name, {})
        return Created(stored.id, self._outputs(stored))

    def update(self, request: UpdateRequest[VolumeInputs, VolumeOutputs]) -> Updated[VolumeOutputs]:
        """Grow it."""
        return Updated(self._outputs(self._change(request, request.inputs.name, {})))

    def read(self, request: ReadRequest[VolumeInputs, VolumeOutputs]) -> Read[VolumeInputs, VolumeOutputs] | None:
        """What it is now."""
        stored = self._look(request)
        if stored is None:
            return None
        stack_id = request.inputs.stack_id if request.inputs else ""
        size = stored.properties["size_gib"]
        return Read(stored.id, VolumeInputs(stack_id=stack_id, name=stored.name, size_gib=size), self._outputs(stored))

    def _outputs(self, stored: StoredObject) -> VolumeOutputs:
        path = str(Path("/volumes") / stored.name)
        return VolumeOutputs(name=stored.name, size_gib=stored.properties["size_gib"], path=path)


class Network(_Typical[NetworkInputs, NetworkOutputs]):
    """A segment: it has no update, so every change replaces it."""

    token: ClassVar[str] = "network:Network"
    Inputs: ClassVar[type[Properties]] = NetworkInputs
    Outputs: ClassVar[type[Properties]] = NetworkOutputs

    def create(self, request: CreateRequest[NetworkInputs]) -> Created[NetworkOutputs]:
        """Make it."""
        stored = self._create(request, request.inputs.name, {})
        return Created(stored.id, self._outputs(stored))

    def read(self, request: ReadRequest[NetworkInputs, NetworkOutputs]) -> Read[NetworkInputs, NetworkOutputs] | None:
        """What it is now."""
        stored = self._look(request)
        if stored is None:
            return None
        values = {key: item for key, item in stored.properties.items() if key in NetworkInputs.model_fields}
        values["stack_id"] = request.inputs.stack_id if request.inputs else ""
        return Read(stored.id, NetworkInputs.model_validate(values), self._outputs(stored))

    def _outputs(self, stored: StoredObject) -> NetworkOutputs:
        return NetworkOutputs(name=stored.name, segment=f"segment-{stored.id}")


class Group(Listable, ResourceType[GroupInputs, GroupOutputs, MemorySession]):
    """Who may reach a server: in use all the time, so the new one is made before the old one goes.

    It never adopts. What an interrupted run left behind is removed by the next update, which knows the live one.
    """

    token: ClassVar[str] = "compute:Group"
    Inputs: ClassVar[type[Properties]] = GroupInputs
    Outputs: ClassVar[type[Properties]] = GroupOutputs
    replacement: ClassVar[Replacement] = Replacement.CREATE_FIRST

    def create(self, request: CreateRequest[GroupInputs]) -> Created[GroupOutputs]:
        """Make a new incarnation."""
        running, inputs, store = request.operation, request.inputs, request.operation.session.store
        _attempt(running, "create", self.token, inputs.base_name)
        mark = marker(inputs.stack_id, running.urn)
        others = [item for item in store.objects(self.token) if item.marker == mark]
        if others:
            running.report(f"{len(others)} other incarnation(s) exist")
        name = f"{inputs.base_name}-{secrets.token_hex(3)}"
        stored = StoredObject(store.new_id("group"), self.token, name, mark, _clear(inputs))
        store.put(stored)
        if store.take_fault("create", self.token, inputs.base_name, "kill-after"):
            kill_self()
        return Created(stored.id, self._outputs(stored))

    def update(self, request: UpdateRequest[GroupInputs, GroupOutputs]) -> Updated[GroupOutputs]:
        """Change the rules, and remove what interrupted runs left behind."""
        running, store = request.operation, request.operation.session.store
        _attempt(running, "update", self.token, request.inputs.base_name)
        live = self._mine(running, request.id, request.inputs.stack_id)
        if live is None:
            raise NotFound(f"'{request.inputs.base_name}' is gone from the platform", "run `pulumi refresh`")
        for item in store.objects(self.token):
            if item.marker == live.marker and item.id != live.id:
                store.remove(item.id)
        stored = StoredObject(live.id, self.token, live.name, live.marker, _clear(request.inputs))
        store.put(stored)
        return Updated(self._outputs(stored))

    def read(self, request: ReadRequest[GroupInputs, GroupOutputs]) -> Read[GroupInputs, GroupOutputs] | None:
        """What it is now."""
        _attempt(request.operation, "read", self.token, request.id)
        stored = request.operation.session.store.get(self.token, request.id)
        if stored is None:
            return None
        stack_id = request.inputs.stack_id if request.inputs else ""
        return Read(
            stored.id, GroupInputs.model_validate({**stored.properties, "stack_id": stack_id}), self._outputs(stored)
        )

    def delete(self, request: DeleteRequest[GroupInputs, GroupOutputs]) -> None:
        """Remove this incarnation alone."""
        _attempt(request.operation, "delete", self.token, request.id)
        if self._mine(request.operation, request.id, request.inputs.stack_id if request.inputs else "") is not None:
            request.operation.session.store.remove(request.id)

    def _mine(self, running: Operation, identity: str, stack_id: str) -> StoredObject | None:
        found: StoredObject | None = running.session.store.get(self.token, identity)
        if found is not None and found.marker and not of_stack(found.marker, stack_id):
            raise ForeignObject(f"'{found.name}' belongs to another stack: it is left alone")
        return found

    def _outputs(self, stored: StoredObject) -> GroupOutputs:
        return GroupOutputs(name=stored.name, uuid=stored.marker)
