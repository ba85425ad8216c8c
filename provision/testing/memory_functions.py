"""Data functions of the in-memory platform."""

from typing import Annotated, ClassVar

from pydantic import Field, SecretStr

from provision.errors import NotFound
from provision.spi import Function, FunctionRequest, Properties
from provision.testing.store import Call


class Size(Properties):
    """A size that servers come in."""

    name: Annotated[str, Field(description="Its name.")]
    cpus: Annotated[int, Field(description="Virtual CPUs.")]
    memory_mib: Annotated[int, Field(description="Memory in MiB.")]


class SizesArguments(Properties):
    """Arguments of `compute:listSizes`."""

    min_cpus: Annotated[int, Field(description="Fewest virtual CPUs.", ge=1)] = 1
    min_memory_mib: Annotated[int, Field(description="Least memory in MiB.", ge=0)] = 0


class SizesResult(Properties):
    """Answer of `compute:listSizes`."""

    sizes: Annotated[list[Size], Field(description="What fits, the smallest first.")]


class ListSizes(Function[SizesArguments, SizesResult]):
    """The sizes of servers that are large enough, the smallest first."""

    token: ClassVar[str] = "compute:listSizes"
    Arguments: ClassVar[type[Properties]] = SizesArguments
    Result: ClassVar[type[Properties]] = SizesResult

    def call(self, request: FunctionRequest[SizesArguments]) -> SizesResult:
        """Look through all of them."""
        wanted = request.arguments
        request.operation.session.store.record(Call("call", self.token, ""))
        sizes = [Size(name=f"m{cpus}", cpus=cpus, memory_mib=512 * cpus) for cpus in (1, 2, 4, 8)]
        return SizesResult(
            sizes=[size for size in sizes if size.cpus >= wanted.min_cpus and size.memory_mib >= wanted.min_memory_mib]
        )


class VolumeArguments(Properties):
    """Arguments of `compute:findVolume`."""

    name: Annotated[str, Field(description="Its name.", min_length=1)]
    key: Annotated[SecretStr | None, Field(description="What the ticket is derived from.")] = None


class VolumeResult(Properties):
    """Answer of `compute:findVolume`."""

    id: Annotated[str, Field(description="What it can be imported by.")]
    size_gib: Annotated[int, Field(description="Size in GiB.")]
    ticket: Annotated[SecretStr | None, Field(description="Opens it, when a key was given.")] = None


class FindVolume(Function[VolumeArguments, VolumeResult]):
    """The volume of that name, whoever made it."""

    token: ClassVar[str] = "compute:findVolume"
    Arguments: ClassVar[type[Properties]] = VolumeArguments
    Result: ClassVar[type[Properties]] = VolumeResult

    def call(self, request: FunctionRequest[VolumeArguments]) -> VolumeResult:
        """Look for it."""
        wanted = request.arguments
        store = request.operation.session.store
        store.record(Call("call", self.token, wanted.name))
        found = store.named("compute:Volume", wanted.name)
        if found is None:
            raise NotFound(f"there is no volume called '{wanted.name}'", "make it first")
        ticket = SecretStr(f"{wanted.key.get_secret_value()}/{found.id}") if wanted.key else None
        return VolumeResult(id=found.id, size_gib=found.properties["size_gib"], ticket=ticket)
