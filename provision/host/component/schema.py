"""Pulumi's schema of the package."""

from typing import Any

PACKAGE = "provision"
STACK = "provision:index:Stack"
INPUTS = "provision:index:Inputs"
"""Within a component; no program names it."""

_ANY = {"$ref": "pulumi.json#/Any"}


def schema(version: str) -> dict[str, Any]:
    """The schema as Pulumi's metaschema wants it."""
    return {
        "name": PACKAGE,
        "displayName": "provision",
        "version": version,
        "description": "Virtual machines and their isolation from one declarative file, as a component.",
        "keywords": ["kind/component", "category/infrastructure"],
        "license": "Apache-2.0",
        "resources": {
            STACK: {
                "isComponent": True,
                "description": "The machines and networks of a stack file, isolated from each other as it says.",
                "inputProperties": _INPUTS,
                "properties": _OUTPUTS,
                "required": sorted(_OUTPUTS),
            }
        },
    }


_INPUTS: dict[str, Any] = {
    "file": {
        "type": "string",
        "plain": True,
        "description": "The stack file, or its folder, relative to the program's folder. Either this or `definition`.",
    },
    "definition": {
        "type": "object",
        "additionalProperties": _ANY,
        "description": "The stack file as an object. Files that it names are relative to the program's folder.",
    },
    "parameters": {
        "type": "object",
        "additionalProperties": _ANY,
        "description": "Values of the stack file's parameters; secrets stay secret.",
    },
    "overlay": {
        "type": "string",
        "plain": True,
        "description": "The overlay `stack.NAME.yaml` that is laid over the file; by default that of the Pulumi stack.",
    },
    "platform": {
        "type": "string",
        "description": "The platform; by default that of `provision:platform`, else the one that the file names.",
    },
    "settings": {
        "type": "object",
        "additionalProperties": _ANY,
        "description": "Settings of the platform; they win over the file's and those of `provision-PLATFORM:…`.",
    },
    "nativeName": {
        "type": "string",
        "plain": True,
        "description": "What names on the platform have after the project, instead of the stack's and the component's "
        "name. Set it to the former name when the component is renamed with an alias, and its machines are to stay.",
    },
}

_OUTPUTS: dict[str, Any] = {
    "outputs": {
        "type": "object",
        "additionalProperties": _ANY,
        "description": "What the file exports under `outputs`.",
    },
    "machines": {
        "type": "object",
        "additionalProperties": _ANY,
        "description": "Facts of each machine, by name: `name`, `address`, `address6`, and what the plugin adds.",
    },
    "platform": {"type": "string", "description": "The platform that it is made on."},
    "downgrades": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "Why policies of level `preferred` are not enforced, by policy.",
    },
}
