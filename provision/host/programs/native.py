"""The native types of plugins as resources of a Python program, typed by the plugin's own models."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Generic, TypeVar

import pulumi
from pydantic import SecretBytes, SecretStr, TypeAdapter

from provision.errors import UserError
from provision.host.plugin.shapes import fields_of
from provision.host.programs.values import inputs_for
from provision.spi import Function, Properties, ResourceType, registry

I = TypeVar("I", bound=Properties)  # noqa: E741 - inputs
O = TypeVar("O", bound=Properties)  # noqa: E741 - outputs
A = TypeVar("A", bound=Properties)
R = TypeVar("R", bound=Properties)
T = TypeVar("T")


class Native(pulumi.CustomResource, Generic[I, O]):
    """One native object of a platform."""

    def __init__(
        self,
        kind: type[ResourceType[I, O, Any]],
        name: str,
        inputs: I | Mapping[str, Any],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register it; see `native`."""
        self._kind = kind
        self._by_name = {field.name: wire for wire, field in fields_of(kind.Outputs).items()}
        wired = inputs_for(kind.Inputs, inputs)
        outputs = dict.fromkeys(wire for wire in self._by_name.values() if wire != "id")
        super().__init__(token_of(kind), name, {**outputs, **wired}, opts)
        # The SDK puts them among the attributes, where an output could hide what a resource has by itself.
        self._values: dict[str, pulumi.Output[Any]] = {
            wire: self.__dict__.pop(wire) for wire in {**outputs, **wired} if wire in self.__dict__
        }

    def output(self, pick: Callable[[O], T]) -> pulumi.Output[T]:
        """One output, or a part of one: `server.output(lambda made: made.nics[0].address)`.

        It is known as soon as that output is known, whatever is with the others. What the model holds as a `SecretStr`
        comes as plain text in an output that Pulumi keeps secret.

        Args:
            pick: names the output by attributes and indexes alone; it gets nothing to calculate with.

        Raises:
            AttributeError: there is no such output.
        """
        steps: list[tuple[bool, Any]] = []
        pick(_Recorder(steps))  # type: ignore[arg-type]  # stands for the model
        if not steps or steps[0][0]:
            raise AttributeError("name an output, as in `lambda made: made.address`")
        field = steps[0][1]
        if field == "id":
            return self.id  # type: ignore[return-value]
        if field not in self._by_name:
            known = ", ".join(self._by_name)
            raise AttributeError(f"{self._kind.token} has no output '{field}': it has {known}")
        adapter = _adapter(self._kind.Outputs, field)

        def value(raw: Any) -> Any:
            found = adapter.validate_python(raw)
            for is_index, step in steps[1:]:
                found = found[step] if is_index else getattr(found, step)
            return found.get_secret_value() if isinstance(found, SecretStr | SecretBytes) else found

        return self._values[self._by_name[field]].apply(value)


class NativeType(Generic[I, O]):
    """A native type of a plugin, to be called like a resource class."""

    def __init__(self, kind: type[ResourceType[I, O, Any]]) -> None:
        """The type `kind`."""
        self.kind = kind

    def __call__(
        self, name: str, inputs: I | Mapping[str, Any], opts: pulumi.ResourceOptions | None = None
    ) -> Native[I, O]:
        """Register a native object.

        Args:
            name: Pulumi's name of it.
            inputs: the type's model of inputs, in which `later` stands for values that are known later; or a mapping by
                the model's names, with outputs of other resources anywhere inside. The plugin checks both.
            opts: Pulumi's options, such as `provider`.
        """
        return Native(self.kind, name, inputs, opts)


def native(kind: type[ResourceType[I, O, Any]]) -> NativeType[I, O]:
    """A resource class for a native type of a plugin: `native(Network)("front", NetworkInputs(…))`."""
    return NativeType(kind)


def provider(
    platform: str, name: str | None = None, *, opts: pulumi.ResourceOptions | None = None, **config: Any
) -> pulumi.ProviderResource:
    """A provider resource: one platform with a configuration of its own.

    Args:
        platform: name of the plugin.
        name: Pulumi's name of it; by default that of the platform.
        opts: Pulumi's options.
        **config: the plugin's configuration by its Python names; may hold outputs.

    Raises:
        UserError: there is no such plugin, or it has no such setting.
    """
    made = registry.load(platform)
    names = {spelling for wire, field in fields_of(made.Config).items() for spelling in (wire, field.name)}
    for key in config:
        if key not in names:
            known = ", ".join(field.name for field in fields_of(made.Config).values())
            raise UserError(f"platform '{platform}' has no setting '{key}'", f"it has {known}")
    return pulumi.ProviderResource(f"provision-{platform}", name or platform, inputs_for(made.Config, config), opts)


def invoke(
    function: type[Function[A, R]],
    arguments: A | Mapping[str, Any],
    opts: pulumi.InvokeOptions | pulumi.InvokeOutputOptions | None = None,
) -> pulumi.Output[R]:
    """Ask a data function of a plugin.

    Args:
        function: the function.
        arguments: as the inputs of a native type.
        opts: Pulumi's options, such as `provider`.
    """
    wired = inputs_for(function.Arguments, arguments)
    answer = pulumi.runtime.invoke_output(token_of(function), wired, opts)
    result: type[R] = function.Result  # type: ignore[assignment]
    return answer.apply(lambda found: result.model_validate(found))


@cache
def token_of(kind: type[ResourceType[Any, Any, Any]] | type[Function[Any, Any]]) -> str:
    """Pulumi's token of a native type or function.

    Raises:
        UserError: no installed plugin offers it.
    """
    package = kind.__module__.partition(".")[0]
    for entry in registry.installed():
        if entry.module.partition(".")[0] == package:
            made = registry.load(entry.name)
            if kind in made.resource_types or kind in made.functions:
                return f"provision-{made.name}:{kind.token}"
    raise UserError(
        f"no installed plugin offers {kind.__module__}.{kind.__qualname__}",
        "give a class that is among the plugin's `resource_types` or `functions`",
    )


@cache
def _adapter(model: type[Properties], field: str) -> TypeAdapter[Any]:
    annotation: Any = model.model_fields[field].annotation
    return TypeAdapter(annotation)


class _Recorder:
    """Notes which attributes and indexes it is asked for."""

    def __init__(self, steps: list[tuple[bool, Any]]) -> None:
        self._steps = steps

    def __getattr__(self, name: str) -> "_Recorder":
        self._steps.append((False, name))
        return self

    def __getitem__(self, key: Any) -> "_Recorder":
        self._steps.append((True, key))
        return self
