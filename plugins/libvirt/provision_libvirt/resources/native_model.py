"""What the inputs, outputs and searches of several resource types share."""

from typing import Annotated

from pydantic import Field

from provision.spi import Computed, Normalized, Properties

POOL_ONLY_ORDERS = Normalized(lambda value: None, "it only says what is made before and removed after")
"""For the name of the stack's pool where the object itself has nothing of it."""


class NativeOutputs(Properties):
    """Outputs of every type."""

    adopted: Annotated[
        bool, Field(description="Imported: the stack did not make it, and knows it by its state alone."), Computed()
    ] = False


class Query(Properties):
    """What a search may be narrowed by."""

    name: Annotated[str | None, Field(description="Pattern of the name: `*` and `?` stand for any characters.")] = None
    ours: Annotated[
        bool | None, Field(description="True: only what some stack made; false: only what others made.")
    ] = None  # fmt: skip


class VolumeQuery(Query):
    """What a search for volumes may be narrowed by."""

    pool: Annotated[str | None, Field(description="Name of the pool.")] = None
