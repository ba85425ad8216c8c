"""One resource type in terms of wire values: what the servicer calls, and what calls the plugin."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from provision.errors import CreatedButUnhealthy, NotFound, PartiallyUpdated, PluginError, UserError
from provision.host.permission import Permission
from provision.host.plugin import previews
from provision.host.plugin.change_classes import told
from provision.host.plugin.checking import Failure, explain
from provision.host.plugin.diffing import Difference, compare
from provision.host.plugin.examining import Circumstances, Examination
from provision.host.plugin.losing import Forced, loss_of, marks, refuse_loss
from provision.host.plugin.running import with_retries
from provision.host.plugin.settling import STACK_ID, settled
from provision.host.plugin.shapes import Record, record_of, to_wire_names
from provision.host.plugin.state import UNHEALTHY, Plan, State, Unhealthy
from provision.host.plugin.unchanged import is_unchanged, lasting
from provision.host.plugin.upgrades import APPLIED, Recorded, recorded, stamped
from provision.host.plugin.walking import declares
from provision.host.plugin.wire import can_be_recorded, dump, marked, mirrored, public, read_stored, rewrap
from provision.host.plugin.write_only import Vault, salts
from provision.host.protocol import provider_pb2
from provision.host.values import plain
from provision.spi.operation import Operation
from provision.spi.properties import OwnedInputs
from provision.spi.resource import (
    CanChoose,
    CanDelete,
    CanRead,
    CanUpdate,
    CanWait,
    CreateRequest,
    DataLoss,
    DeleteRequest,
    ReadRequest,
    Replacement,
    ResourceType,
    UpdateRequest,
)

Wire = Mapping[str, Any]


class Resource:
    """Serves one resource type."""

    def __init__(self, kind: type[ResourceType[Any, Any, Any]], plugin: str) -> None:
        """Serve `kind` of the plugin called `plugin`."""
        self.kind = kind
        self.token = kind.token
        self._implementation = kind()
        self._plugin = plugin
        self._owned = issubclass(kind.Inputs, OwnedInputs)
        self._write_only = declares(self.inputs, lambda field: field.write_only)
        self._vault = Vault()
        self._examination = Examination(self._implementation, plugin, self._vault)
        self._checked: set[str] = set()
        self.asks = isinstance(self._implementation, CanChoose)
        """Whether a check may have questions for the platform."""
        self.forced = Forced()
        """Which objects are replaced because somebody asked for it."""
        self.platform_identity = ""
        """Of the platform that is connected; empty when it has none."""

    @property
    def implementation(self) -> ResourceType[Any, Any, Any]:
        """The plugin's own object."""
        return self._implementation

    @property
    def inputs(self) -> Record:
        """Shape of the inputs."""
        return record_of(self.kind.Inputs)

    @property
    def outputs(self) -> Record:
        """Shape of the outputs."""
        return record_of(self.kind.Outputs)

    @property
    def delete_first(self) -> bool:
        """Whether the old object goes before the new one is made."""
        return self.kind.replacement is Replacement.DELETE_FIRST

    def check(
        self, urn: str, news: Wire, olds: Wire, about: Circumstances | None = None
    ) -> tuple[dict[str, Any], list[Failure]]:
        """Checked inputs, and what is wrong with them."""
        self._checked.add(urn)
        self.forced.checked(urn, olds)
        return self._examination.run(urn, news, olds, about or Circumstances())

    def opened(self, inputs: Wire) -> dict[str, Any]:
        """Inputs with the write-only values that are known in the place of their digests, for masking them."""
        return self._vault.open(inputs, self.inputs, strict=False) if self._write_only else dict(inputs)

    def diff(self, olds: Wire, news: Wire, ignored: Sequence[str] = ()) -> list[Difference]:
        """How inputs differ from wanted ones; both are in today's version."""
        found = compare(
            self.kind.Inputs,
            public(olds),
            public(news),
            always_replaces=not isinstance(self._implementation, CanUpdate),
            ignored=ignored,
        )
        return [item for item in found if not (self._owned and item.path == (STACK_ID,))]

    def unchanged(self, request: provider_pb2.DiffRequest) -> Plan | None:
        """The plan where the wanted inputs are surely the recorded ones; None where they have to be compared."""
        if self._write_only or not is_unchanged(request, self.kind.schema_version):
            return None
        self._checked.discard(request.urn)
        return Plan([], stables=self._stables(request.olds.fields))

    def plan(
        self,
        urn: str,
        olds: Wire,
        outputs: Wire,
        news: Wire,
        ignored: Sequence[str] = (),
        permission: Permission | None = None,
    ) -> Plan:
        """What recorded inputs and outputs say is to be done for the wanted inputs.

        Raises:
            UserError: data would be lost, and `permission`, where there is one, does not cover it.
        """
        before = self._recorded(olds, outputs, news)
        found = self.diff(before.inputs or {}, news, ignored)
        # A refresh compares too, what it found with what was recorded; no check comes before that. Nor does one come
        # when the engine asks what becomes of an object whose source is made anew; that leaves values unknown.
        wanted = urn in self._checked
        self._checked.discard(urn)
        if permission is not None and (wanted or any(item.uncertain for item in found)):
            refuse_loss(self._implementation, urn, before.inputs or {}, found, permission, wanted=wanted)
        stables = () if any(item.replaces for item in found) else self._stables(before.outputs)
        losing = loss_of(self._implementation, before.inputs or {}) is not DataLoss.NEVER
        return Plan(found, before.upgraded, stables, told(found, losing=losing) if wanted else "")

    def _stables(self, outputs: Container[str]) -> tuple[str, ...]:
        return tuple(wire for wire in lasting(self.outputs) if wire in outputs)

    def _recorded(self, inputs: Wire | None, outputs: Wire | None, news: Wire | None = None) -> Recorded:
        """What is recorded, in today's version."""
        found = recorded(self.kind, self._plugin, inputs, outputs)
        if not self._write_only or not found.inputs:
            return found
        # State of a release in which a property was not write-only yet may hold its value: it is to leave the state.
        sealed = self._vault.seal(found.inputs, self.inputs, found.inputs, news, salt=salts(b"", ""))
        held = plain(sealed) != plain(found.inputs)
        return Recorded(sealed, found.outputs, found.upgraded or held)

    def preview_create(self, inputs: Wire) -> dict[str, Any]:
        """Outputs as far as they are known before the object exists."""
        return previews.of_create(self.kind.Inputs, self.kind.Outputs, public(inputs))

    def create(self, running: Operation, inputs: Wire) -> State:
        """Make the object.

        Raises:
            Unhealthy: it exists, but did not become healthy.
        """
        self._checked.discard(running.urn)
        self.forced.made(running.urn)
        request = CreateRequest(running, self._model(self.kind.Inputs, inputs))

        def make() -> State:
            created = self._implementation.create(request)
            identity = getattr(created, "id", None)
            if not isinstance(identity, str) or not identity:
                raise self._broken("create", "must return Created with a non-empty id")
            running.made(identity, {})  # whatever is wrong with its outputs, the object is there
            return State(identity, self._dump_outputs("create", created.outputs, inputs))

        try:
            done = with_retries(make, running)
        except CreatedButUnhealthy as error:
            raise self.unhealthy(error, inputs) from error
        self._vault.forget(inputs, self.inputs)
        return done

    def preview_update(self, news: Wire, old_inputs: Wire, outputs: Wire) -> dict[str, Any]:
        """Outputs as far as they are known before the update."""
        before = self._recorded(old_inputs, outputs, news)
        changed = {str(item.path[0]) for item in self.diff(before.inputs or {}, news)}
        unhealthy = bool(plain(outputs.get(UNHEALTHY)))
        if not changed and before.upgraded and not unhealthy:
            return self._unchanged(before.outputs, news)
        return previews.of_update(
            self.kind.Inputs,
            self.kind.Outputs,
            public(news),
            public(before.outputs),
            changed,
            unhealthy=unhealthy or not changed,
        )

    def update(self, running: Operation, identity: str, news: Wire, old_inputs: Wire, outputs: Wire) -> dict[str, Any]:
        """Change the object, or wait for its health again; its outputs afterwards.

        Raises:
            Unhealthy: it was changed, but did not become healthy, or only a part of the change was made.
        """
        before = self._recorded(old_inputs, outputs, news)
        differences = self.diff(before.inputs or {}, news)
        unhealthy = bool(plain(outputs.get(UNHEALTHY)))
        if not differences and before.upgraded and not unhealthy:
            return self._unchanged(before.outputs, news)
        try:
            if not differences and isinstance(self._implementation, CanWait):
                done = self._waited(self._implementation, running, identity, news, before)
            elif isinstance(self._implementation, CanUpdate):
                done = self._updated(
                    self._implementation, running, identity, news, before, unhealthy or not differences
                )
            elif not differences:
                done = self._looked(running, identity, news, before)
            else:
                raise self._broken("update", "is missing, yet an update was asked for")
        except CreatedButUnhealthy as error:
            raise self.unhealthy(error, news) from error
        except PartiallyUpdated as error:
            raise self._partial(error, identity, news, before, unhealthy) from error
        self._vault.forget(news, self.inputs)
        return done

    def _updated(
        self,
        implementation: CanUpdate,
        running: Operation,
        identity: str,
        news: Wire,
        before: Recorded,
        retry: bool,
    ) -> dict[str, Any]:
        old = before.inputs or {}
        if self._write_only:  # what did not change must compare as the same
            old = self._vault.open(old, self.inputs, strict=False, like=news)
        request = UpdateRequest(
            operation=running,
            id=identity,
            inputs=self._model(self.kind.Inputs, news),
            old_inputs=read_stored(self.kind.Inputs, old),
            outputs=read_stored(self.kind.Outputs, public(before.outputs)),
            retry=retry,
        )
        updated = with_retries(lambda: implementation.update(request), running)
        return self._dump_outputs("update", getattr(updated, "outputs", None), news)

    def _waited(
        self, implementation: CanWait, running: Operation, identity: str, news: Wire, before: Recorded
    ) -> dict[str, Any]:
        request = self._read_request(running, identity, Recorded(dict(public(news)), before.outputs))
        outputs = with_retries(lambda: implementation.wait_healthy(request), running)
        return self._dump_outputs("wait_healthy", outputs, news)

    def _looked(self, running: Operation, identity: str, news: Wire, before: Recorded) -> dict[str, Any]:
        """A type that can neither wait nor update: healthy when it is there."""
        implementation = self._implementation
        if not isinstance(implementation, CanRead):
            return self._unchanged(before.outputs, news)
        request = self._read_request(running, identity, Recorded(dict(public(news)), before.outputs))
        found = with_retries(lambda: implementation.read(request), running)
        if found is None:
            raise NotFound(f"{self.token} '{identity}' is gone from the platform", "run `pulumi refresh`, then again")
        return self._dump_outputs("read", found.outputs, news)

    def _unchanged(self, outputs: Wire, news: Wire) -> dict[str, Any]:
        return self._with_marks(
            stamped(mirrored(marked(self._shown(public(outputs)), self.outputs), news), self.kind), news
        )

    def read(self, running: Operation, identity: str, inputs: Wire | None, outputs: Wire) -> State | None:
        """What the object is now, None when it is gone. Without `inputs` it is an import.

        Raises:
            Unhealthy: it exists, but is not healthy.
        """
        before = self._recorded(inputs, outputs)
        if not isinstance(self._implementation, CanRead):
            if before.inputs is None:
                raise UserError(f"objects of type {self.token} cannot be imported", "let Pulumi create a new one")
            running.report("cannot be looked at: the last known state is kept")
            return State(identity, before.outputs, stamped(before.inputs, self.kind))
        implementation = self._implementation
        request = self._read_request(running, identity, before)
        try:
            found = with_retries(lambda: implementation.read(request), running)
        except NotFound:
            return None
        except CreatedButUnhealthy as error:
            raise self.unhealthy(error, before.inputs or {}) from error
        if found is None:
            return None
        if not isinstance(found.inputs, self.kind.Inputs):
            raise self._broken("read", f"must return inputs of type {self.kind.Inputs.__name__}")
        shown = self._dump_outputs("read", found.outputs, before.inputs or {})
        read = dump(found.inputs)
        if before.inputs is not None:
            read = settled(found.inputs, read, before.inputs, self.inputs)
            self._settle_outputs(shown, before.outputs)
        if self._write_only:
            read = self._vault.seal(read, self.inputs, before.inputs, salt=salts(b"", ""))
        return State(found.id or identity, shown, stamped(read, self.kind))

    def _settle_outputs(self, shown: dict[str, Any], before: Wire) -> None:
        """Outputs of which the record counts: secrets that came back empty, and mirrors of what may drift."""
        inputs = self.inputs.fields
        for wire, field in self.outputs.fields.items():
            drifts = field.computed is None and wire in inputs and inputs[wire].drifts
            if wire in before and (drifts or (field.secret and not plain(shown.get(wire)))):
                shown[wire] = before[wire]

    def _read_request(self, running: Operation, identity: str, before: Recorded) -> ReadRequest[Any, Any]:
        outputs = public(before.outputs)
        return ReadRequest(
            operation=running,
            id=identity,
            inputs=None if before.inputs is None else read_stored(self.kind.Inputs, before.inputs),
            outputs=read_stored(self.kind.Outputs, outputs) if outputs else None,
        )

    def delete(self, running: Operation, identity: str, inputs: Wire | None, outputs: Wire) -> None:
        """Remove the object; one that is gone already is fine."""
        if not isinstance(self._implementation, CanDelete):
            return
        implementation = self._implementation
        before = self._recorded(inputs, outputs)
        request = DeleteRequest(
            operation=running,
            id=identity,
            inputs=None if before.inputs is None else read_stored(self.kind.Inputs, before.inputs),
            outputs=read_stored(self.kind.Outputs, public(before.outputs)),
        )
        try:
            with_retries(lambda: implementation.delete(request), running)
        except NotFound:
            return

    def _model(self, model: type[BaseModel], inputs: Wire) -> Any:
        """Checked inputs as a model: they were valid when they were checked, so a failure here is worth its text."""
        values = public(inputs)
        if self._write_only:
            values = self._vault.open(values, self.inputs)
        values = plain(values)
        try:
            return model.model_validate(values)
        except ValidationError as error:
            reasons = "; ".join(f"{f.property or 'inputs'} {f.reason}" for f in explain(error, values))
            raise UserError(f"{self.token}: {reasons}") from error

    def _dump_outputs(self, member: str, outputs: Any, inputs: Wire) -> dict[str, Any]:
        if not isinstance(outputs, self.kind.Outputs):
            raise self._broken(member, f"must return outputs of type {self.kind.Outputs.__name__}")
        return self._with_marks(stamped(mirrored(self._shown(dump(outputs)), inputs), self.kind), inputs)

    def _with_marks(self, outputs: dict[str, Any], inputs: Wire) -> dict[str, Any]:
        return outputs | marks(self._implementation, inputs, self.platform_identity)

    def _shown(self, outputs: Wire) -> dict[str, Any]:
        """Outputs without what mirrors a write-only input."""
        inputs = self.inputs.fields
        return {key: item for key, item in outputs.items() if not (key in inputs and inputs[key].write_only)}

    def _kept_outputs(self, known: Wire, inputs: Wire) -> dict[str, Any]:
        """What is known of an object; what of that cannot be recorded must not cost the whole object."""
        wire = self._shown(to_wire_names(known, self.outputs))
        kept = {key: item for key, item in wire.items() if can_be_recorded(key, item, self.outputs)}
        return self._with_marks(stamped(mirrored(marked(kept, self.outputs), inputs), self.kind), inputs)

    def unhealthy(self, error: CreatedButUnhealthy, inputs: Wire) -> Unhealthy:
        """What is to be recorded of an object that exists, with checked inputs."""
        outputs = self._kept_outputs(error.outputs, inputs) | {UNHEALTHY: True}
        return Unhealthy(State(str(error.id), outputs, dict(inputs)), error.summary, error.reasons)

    def _partial(
        self, error: PartiallyUpdated, identity: str, news: Wire, before: Recorded, unhealthy: bool
    ) -> Unhealthy | PluginError:
        """What was made of a change, as it is recorded."""
        if not isinstance(error.inputs, self.kind.Inputs):
            return self._broken("update", f"must give inputs of type {self.kind.Inputs.__name__} in PartiallyUpdated")
        old = before.inputs or {}
        # What was applied is as secret as what was recorded, and as what is wanted.
        applied = rewrap(settled(error.inputs, dump(error.inputs), old, self.inputs), news)
        if self._write_only:
            applied = self._vault.seal(applied, self.inputs, news, old, salt=salts(b"", ""))
        outputs = self._kept_outputs(error.outputs, applied) | {APPLIED: applied}
        if unhealthy:
            outputs[UNHEALTHY] = True
        return Unhealthy(State(identity, outputs, stamped(applied, self.kind)), error.summary, error.reasons)

    def _broken(self, member: str, expectation: str) -> PluginError:
        return PluginError(
            f"plugin '{self._plugin}': {self.token}: `{member}` {expectation}", "report this to the plugin's author"
        )
