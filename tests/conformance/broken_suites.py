"""A conformance suite for every broken provider, each importable by its name as the kit's child processes need it."""

from broken import CATALOGUE, changing, creating, describing, reading, removing, telling, translating
from tiny_suite import TinyConformance

FAMILIES = (creating, reading, changing, removing, telling, describing, translating)

for _broken in CATALOGUE.values():
    globals()[_broken.name] = type(
        _broken.name, (TinyConformance,), {"provider": _broken.provider, "__module__": __name__}
    )
