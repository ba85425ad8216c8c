"""Everything that a check does with new inputs before they are planned with."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from provision.errors import PluginError
from provision.host.plugin.checking import Failure, check, explain
from provision.host.plugin.choices import chosen
from provision.host.plugin.environment import with_environment
from provision.host.plugin.names import Autonaming, named
from provision.host.plugin.running import with_retries
from provision.host.plugin.settling import STACK_ID
from provision.host.plugin.shapes import Field, Record, record_of, to_python_names, to_wire_names, wire_path
from provision.host.plugin.upgrades import recorded, stamped
from provision.host.plugin.walking import ABSENT, Path, at, declares, transformed
from provision.host.plugin.wire import marked, public, rewrap
from provision.host.plugin.write_only import Vault, salts, with_kept, without_digests
from provision.host.values import plain
from provision.spi.operation import Operation
from provision.spi.properties import UNKNOWN, OwnedInputs
from provision.spi.resource import CanCheck, CanChoose, CheckRequest, ChoiceRequest, ResourceType

Wire = Mapping[str, Any]

_UNKNOWN_VALUE = "must be given again: state holds only a digest of it; do not name it in ignoreChanges"


@dataclass(frozen=True)
class Circumstances:
    """What a check knows beside the inputs.

    Attributes:
        seed: makes everything random the same again; empty when the engine gives none.
        autonaming: what Pulumi's configuration says of automatic names.
        operation: for questions to the platform; None while the provider's configuration is not known.
        warn: shows a lasting warning.
    """

    seed: bytes = b""
    autonaming: Autonaming | None = None
    operation: Operation | None = None
    warn: Callable[[str], None] = lambda text: None


class Examination:
    """Checks the inputs of one resource type."""

    def __init__(self, implementation: ResourceType[Any, Any, Any], plugin: str, vault: Vault) -> None:
        """Check for `implementation` of the plugin called `plugin`; write-only values go to `vault`."""
        self._implementation = implementation
        self._kind = type(implementation)
        self._checking = implementation if isinstance(implementation, CanCheck) else None
        self._plugin = plugin
        self._vault = vault
        self._record = record_of(self._kind.Inputs)
        self._owned = issubclass(self._kind.Inputs, OwnedInputs)
        self._write_only = declares(self._record, lambda field: field.write_only)
        self._environment = declares(self._record, lambda field: bool(field.environment))
        self._deprecated = declares(self._record, lambda field: bool(field.deprecation))
        self._sticky = any(field.sticky for field in self._record.fields.values())

    def run(self, urn: str, news: Wire, olds: Wire, about: Circumstances) -> tuple[dict[str, Any], list[Failure]]:
        """Checked inputs, and what is wrong with them."""
        given = public(news)
        old_wire = recorded(self._kind, self._plugin, olds or None, None).inputs
        old = plain(old_wire) or None
        values = plain(given)
        if self._environment:
            values = with_environment(values, self._record, os.environ)
        if self._owned and old and _known(old.get(STACK_ID)):
            # An object keeps the marker it was made with for life: a stack whose identity was made anew must still be
            # able to change and delete what it has.
            values[STACK_ID] = old[STACK_ID]
        values, refused = named(values, old, self._record, urn=urn, seed=about.seed, autonaming=about.autonaming)
        kept: dict[Path, str] = {}
        if self._write_only:
            values, kept = without_digests(values, self._record)
            refused += [
                Failure(path, _UNKNOWN_VALUE) for path, text in kept.items() if not self._stands(path, text, old)
            ]
        checked, failures = self._checked(urn, values, old)
        failures = refused + [item for item in failures if item.path not in {failure.path for failure in refused}]
        if self._sticky and not failures:
            checked, failures = self._chosen(checked, old, about)
        if failures:
            return checked, failures
        for path, message in deprecated(given, self._record) if self._deprecated else ():
            about.warn(f"{Failure(path, '').property} is deprecated: {message}")
        checked = rewrap(checked, given)
        if self._write_only:
            checked = with_kept(checked, kept, self._record)
            checked = self._vault.seal(checked, self._record, old, salt=salts(about.seed, urn))
        return stamped(checked, self._kind), failures

    def _stands(self, path: Path, digest: str, old: Wire | None) -> bool:
        """Whether a digest may go on standing for its value: on the same object, or when the value is known."""
        return (old is not None and plain(at(old, path)) == digest) or self._vault.knows(digest)

    def _checked(self, urn: str, values: Wire, old: Wire | None) -> tuple[dict[str, Any], list[Failure]]:
        """Against the type's own check and the model."""
        failures: list[Failure] = []
        raised: Exception | None = None
        if self._checking is not None:
            try:
                values, failures = self._own_check(self._checking, urn, values, old)
            except Exception as error:
                raised = error
        checked, more = check(self._kind.Inputs, values)
        if raised is not None and not more:
            if not isinstance(raised, ValidationError):
                raise raised
            more = explain(raised, to_python_names(values, self._record))
        known = {failure.path for failure in failures}
        return checked, failures + [failure for failure in more if failure.path not in known]

    def _own_check(
        self, implementation: CanCheck, urn: str, values: Wire, old: Wire | None
    ) -> tuple[dict[str, Any], list[Failure]]:
        old_inputs = None if old is None else to_python_names(old, self._record)
        answer = implementation.check(CheckRequest(urn, to_python_names(values, self._record), old_inputs))
        failures = [Failure(wire_path(item.property, self._kind.Inputs), item.reason) for item in answer.failures]
        return to_wire_names(plain(marked(answer.inputs, Record(()))), self._record), failures

    def _chosen(self, checked: Wire, old: Wire | None, about: Circumstances) -> tuple[dict[str, Any], list[Failure]]:
        implementation = self._implementation
        if not isinstance(implementation, CanChoose):
            raise PluginError(
                f"plugin '{self._plugin}': {self._kind.token}: `choose` is missing, which its `Sticky` inputs need",
                "report this to the plugin's author",
            )
        can_choose: CanChoose = implementation

        def ask(request: ChoiceRequest) -> Any:
            return with_retries(lambda: can_choose.choose(request), request.operation)

        return chosen(self._kind.Inputs, checked, old, ask, about.operation)


def deprecated(values: Any, record: Record) -> Iterator[tuple[Path, str]]:
    """Inputs that are given although they should no longer be used, and why not."""
    found: list[tuple[Path, str]] = []

    def visit(path: Path, field: Field, value: Any) -> Any:
        if field.deprecation and value is not ABSENT and value is not None:
            found.append((path, field.deprecation))
        return value

    transformed(values, record, visit)
    yield from found


def _known(value: Any) -> bool:
    return value is not None and value != "" and value is not UNKNOWN
