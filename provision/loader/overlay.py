"""Overlays: `stack.NAME.yaml` beside the stack file changes it for one Pulumi stack.

The rules are those of JSON merge patch (RFC 7396): maps merge, everything else replaces, `null` deletes.
"""

from pathlib import Path

from provision.loader.nodes import Node


def overlay_path(stack_file: Path, overlay: str) -> Path:
    """Where the overlay of a Pulumi stack is: `stack.yaml` and `prod` give `stack.prod.yaml`."""
    return stack_file.with_name(f"{stack_file.stem}.{overlay}{stack_file.suffix}")


def merge(base: Node | None, over: Node) -> Node:
    """Put `over` on `base`; every value keeps the place of the file that had the last word."""
    if not isinstance(over.value, dict):
        return over
    if base is None or not isinstance(base.value, dict):
        base = over.with_value({})
    merged = dict(base.value) if isinstance(base.value, dict) else {}
    for key, child in over.value.items():
        if child.value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), child)
    return base.with_value(merged)
