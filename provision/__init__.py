"""Virtual machines and their isolation from one declarative file."""

# Plugin processes pass by here before they can ignore an interrupt: nothing is imported, `typing` neither.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from provision.host.programs import (
        Native,
        NativeType,
        StackComponent,
        deploy,
        invoke,
        later,
        native,
        provider,
        stack_id,
    )

__all__ = ["Native", "NativeType", "StackComponent", "deploy", "invoke", "later", "native", "provider", "stack_id"]


def __getattr__(name: str) -> "Any":
    """What Pulumi programs use; Pulumi's SDK, which takes its time, is imported with the first of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from provision.host import programs

    return getattr(programs, name)
