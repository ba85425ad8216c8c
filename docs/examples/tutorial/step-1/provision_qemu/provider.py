"""The plugin: a platform that exists, and can do nothing yet."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from provision import spi
from provision.errors import EnvironmentProblem

PROGRAM = "qemu-system-x86_64"


class QemuConfig(spi.Properties):
    """Where machines live."""

    directory: Annotated[str, Field(description="Where machines are kept.", pattern="^[^,]+$")] = "~/.provision-qemu"


class QemuProvider(spi.Provider[QemuConfig, Path]):
    """The plugin."""

    name: ClassVar[str] = "qemu"
    version: ClassVar[str] = "0.1.0"
    Config: ClassVar[type[spi.Properties]] = QemuConfig
    resource_types: ClassVar[Sequence[type[spi.ResourceType[Any, Any, Any]]]] = ()

    def connect(self, config: QemuConfig) -> Path:
        """Nothing has to be opened, but what every machine needs must be there."""
        directory = Path(config.directory).expanduser().absolute()
        if shutil.which(PROGRAM) is None:
            raise EnvironmentProblem(f"there is no {PROGRAM} on this machine", "run: apt install qemu-system-x86")
        if len(str(directory)) > 66:  # a socket's path has 107 characters at most
            raise EnvironmentProblem(f"{directory} is too long a name", "set provision-qemu:directory to a shorter one")
        return directory

    def capabilities(self, session: Path) -> spi.Capabilities:
        """Nothing has to be asked."""
        return spi.Capabilities(self.name)

    def supports(self, use: spi.FeatureUse, capabilities: spi.Capabilities) -> spi.Support:
        """All is refused that is not known to be done."""
        return spi.unsupported("this platform cannot do anything yet", "remove it")

    def translate(self, request: spi.TranslationRequest) -> spi.ResourceGraph:
        """No native resources."""
        return spi.GraphBuilder().build()
