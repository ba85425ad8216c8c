"""A stack file, or models in its place, as a component of a Python program."""

import enum
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from pydantic import SecretStr

from provision.host.component.schema import STACK
from provision.models import Stack


class StackComponent(pulumi.ComponentResource):
    """`provision:index:Stack`: the machines and networks of a stack file.

    Attributes:
        outputs: what the file exports under `outputs`.
        machines: facts of each machine by name: `name`, `address`, `address6`, and what the plugin adds.
        platform: the platform that it is made on.
        downgrades: why policies of level `preferred` are not enforced, by policy.
    """

    outputs: pulumi.Output[Mapping[str, Any]]
    machines: pulumi.Output[Mapping[str, Mapping[str, Any]]]
    platform: pulumi.Output[str]
    downgrades: pulumi.Output[Mapping[str, str]]

    def __init__(
        self,
        name: str,
        *,
        file: str | os.PathLike[str] | None = None,
        definition: pulumi.Input[Mapping[str, Any]] | None = None,
        parameters: pulumi.Input[Mapping[str, Any]] | None = None,
        overlay: str | None = None,
        platform: pulumi.Input[str] | None = None,
        settings: pulumi.Input[Mapping[str, Any]] | None = None,
        native_name: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register it.

        Args:
            name: Pulumi's name of it; no two stacks of a program have the same.
            file: the stack file, or its folder. Either this or `definition`.
            definition: the stack file as an object.
            parameters: values of the stack file's parameters; may be secrets and outputs of other resources.
            overlay: which `stack.NAME.yaml` is laid over the file; by default that of the Pulumi stack.
            platform: the platform, over what is configured and what the file says.
            settings: settings of the platform, over those of the configuration and the file.
            native_name: what names on the platform have after the project.
            opts: Pulumi's options; `providers` holds provider resources to be used.
        """
        given = {
            "file": None if file is None else os.path.abspath(file),
            "definition": definition,
            "parameters": parameters,
            "overlay": overlay,
            "platform": platform,
            "settings": settings,
            "nativeName": native_name,
        }
        outputs = dict.fromkeys(("outputs", "machines", "platform", "downgrades"))
        inputs = {key: value for key, value in given.items() if value is not None}
        super().__init__(STACK, name, {**outputs, **inputs}, opts, remote=True)


def deploy(
    stack: Stack | str | os.PathLike[str],
    *,
    name: str = "stack",
    parameters: pulumi.Input[Mapping[str, Any]] | None = None,
    overlay: str | None = None,
    platform: pulumi.Input[str] | None = None,
    settings: pulumi.Input[Mapping[str, Any]] | None = None,
    native_name: str | None = None,
    opts: pulumi.ResourceOptions | None = None,
) -> StackComponent:
    """Make a stack within the running Pulumi program.

    Args:
        stack: models, or the path of a stack file or of its folder.
        name: Pulumi's name of the component.
        parameters: as with `StackComponent`, like all that follow.
        overlay: for stack files alone.
        platform: as there.
        settings: as there.
        native_name: as there.
        opts: as there.
    """
    content: dict[str, Any] = {"definition": document(stack)} if isinstance(stack, Stack) else {"file": Path(stack)}
    return StackComponent(
        name,
        **content,
        parameters=parameters,
        overlay=overlay,
        platform=platform,
        settings=settings,
        native_name=native_name,
        opts=opts,
    )


def document(stack: Stack) -> dict[str, Any]:
    """Models as the stack file that says the same; secrets are Pulumi's secrets."""
    written = stack.model_dump(mode="json", by_alias=True, exclude_unset=True)
    exact = stack.model_dump(mode="python", by_alias=True, exclude_unset=True)
    made: dict[str, Any] = _with_secrets(written, exact)
    made["version"] = stack.version
    return made


def _with_secrets(written: Any, exact: Any) -> Any:
    """What JSON hides behind asterisks, put back."""
    if isinstance(exact, SecretStr):
        return pulumi.Output.secret(exact.get_secret_value())
    if isinstance(written, Mapping) and isinstance(exact, Mapping):
        keys = {key.value if isinstance(key, enum.Enum) else str(key): key for key in exact}
        return {key: _with_secrets(item, exact[keys[key]]) for key, item in written.items()}
    if isinstance(written, list) and isinstance(exact, list | tuple):
        return [_with_secrets(*pair) for pair in zip(written, exact, strict=True)]
    return written
