"""Defects of translation."""

import secrets
from typing import Any

from tiny_provider import Box, TinyProvider

from broken import found_by
from provision.spi import ENFORCED, GraphBuilder, unsupported


class Translating(TinyProvider):
    """A cabinet whose translation a variation changes in one place."""

    def translate(self, request: Any) -> Any:
        """Machines become boxes."""
        graph = GraphBuilder()
        for name, machine in request.stack.machines.items():
            graph.component("Machine", f"machines/{name}")
            inputs = self.box(f"{request.project}-{name}", machine)
            graph.add(Box, f"machines/{name}/box", inputs, parent=f"machines/{name}")
        return graph.build()

    def box(self, name: str, machine: Any) -> dict[str, Any]:
        return {"name": name, "size": machine.memory.mib, "tags": self.all_tags(machine)}

    def all_tags(self, machine: Any) -> list[str]:
        disks = {f"{name}:{disk.size.gib}" for name, disk in machine.disks.items()}
        return sorted(self.tags(machine.labels) | {machine.image, f"cpus:{machine.cpus}"} | disks)


@found_by("stack:web-same", "translated once more it differs")
class TranslatesAtRandom(Translating):
    """A name of its own every time."""

    def box(self, name: str, machine: Any) -> dict[str, Any]:
        return super().box(f"{name}-{secrets.token_hex(4)}", machine)


@found_by("stack:web-same", "process it differs")
class TranslatesSets(Translating):
    """The order of a set, which every process has its own of."""

    def all_tags(self, machine: Any) -> list[str]:
        return list(set(super().all_tags(machine)))


@found_by("stack:web-nothing-ignored", "machines.cpus")
class IgnoresAFeature(Translating):
    """It says that it gives machines processors, and does not."""

    def all_tags(self, machine: Any) -> list[str]:
        return [tag for tag in super().all_tags(machine) if not tag.startswith("cpus:")]


@found_by("stack:web-translates", "wrongly")
class TranslatesWrongly(Translating):
    """Its graph does not fit its own models."""

    def box(self, name: str, machine: Any) -> dict[str, Any]:
        return {**super().box(name, machine), "size": "large"}


@found_by("stack:web-translates", "refused")
class RefusesWhatItShould(Translating):
    """It refuses what its own sample asks for."""

    def supports(self, use: Any, capabilities: Any) -> Any:
        """Hardly anything."""
        if use.feature == "machines.cpus":
            return unsupported("boxes do not think")
        return super().supports(use, capabilities)


@found_by("plugin-stacks", "machines.power")
class PromisesWhatNobodyTried(TinyProvider):
    """It says that it enforces what stands in none of its samples."""

    def supports(self, use: Any, capabilities: Any) -> Any:
        """A little more."""
        return ENFORCED if use.feature == "machines.power" else super().supports(use, capabilities)
