"""Defects of the plugin as a whole."""

import random
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field
from tiny_cabinet import Cabinet
from tiny_provider import Box, BoxOutputs, Count, CountResult, Label, Session, TinyConfig, TinyProvider

from broken import found_by
from provision.errors import EnvironmentProblem
from provision.spi import ENFORCED, Capabilities, Properties


class Terse(BoxOutputs):
    """Outputs of a box, of which one is a riddle."""

    mark: str


@found_by("plugin-docs", "mark")
class SaysNothingOfAField(Box):
    """A field without a description."""

    Outputs: ClassVar[type[Properties]] = Terse


@found_by("plugin-docs", "things:Box")
class SaysNothing(Box):
    __doc__ = None


class Unspeakable(BoxOutputs):
    """Outputs of a box, of which one has a name that no language can bind."""

    mark: Annotated[str, Field(description="Whose it is.", alias="owner-mark")]


@found_by("plugin-schema", "owner-mark")
class HasNoName(Box):
    """A property that no language can name."""

    Outputs: ClassVar[type[Properties]] = Unspeakable


@found_by("plugin-supports", "is unsupported")
class PromisesEverything(TinyProvider):
    """Whatever a person writes, it is enforced."""

    def supports(self, use: Any, capabilities: Any) -> Any:
        """Yes."""
        return ENFORCED


@found_by("plugin-capabilities", "plain data")
class TellsOfObjects(TinyProvider):
    """What it can do cannot be written down."""

    def capabilities(self, session: Any) -> Capabilities:
        """A set."""
        return Capabilities(self.name, {"kinds": {"box", "label"}})


@found_by("plugin-wrong-config", "connecting with a configuration")
class ConnectsToNowhere(TinyProvider):
    """Whether the cabinet is there it finds out later."""

    def connect(self, config: Any) -> Session:
        """Later."""
        cabinet = Cabinet.__new__(Cabinet)
        cabinet._folder = Path(config.folder)
        return Session(cabinet)


@found_by("plugin-secrets", "its failure holds one")
class TellsTheKey(TinyProvider):
    """When the cabinet does not open, it says with what it tried; backwards, which hides nothing."""

    def connect(self, config: Any) -> Session:
        """Try."""
        try:
            return super().connect(config)
        except EnvironmentProblem as error:
            key = config.key.get_secret_value()[::-1]
            raise EnvironmentProblem(f"{error.summary}; tried '{key}'", error.fix) from None


class Tolerant(TinyConfig):
    """Configuration that takes anything."""

    model_config = TinyConfig.model_config | {"extra": "ignore"}


@found_by("plugin-config", "noSuchSetting")
class SwallowsSettings(TinyProvider):
    """A slip of the pen in the configuration goes unseen."""

    Config: ClassVar[type[Properties]] = Tolerant


class Bag(Box):
    """A type that nobody tries."""

    token: ClassVar[str] = "things:Bag"


@found_by("plugin-samples", "things:Bag")
class HasAnUntriedType(TinyProvider):
    """One of its types has no sample."""

    resource_types: ClassVar[Any] = (Box, Label, Bag)


@found_by("plugin-transport", "no call that is counted")
class GoesRoundTheTransport(Label):
    """A way to the platform that no fault can be put into."""

    def create(self, request: Any) -> Any:
        """Make it through a connection of its own."""
        session = request.operation.session
        beside = Session(Cabinet(Path(str(session.cabinet._folder))))
        object.__setattr__(request.operation, "session", beside)
        return super().create(request)


@found_by("things:count-answer", "the same question has the same answer")
class Guesses(Count):
    """How many things there are, about."""

    def call(self, request: Any) -> CountResult:
        """Guess."""
        return CountResult(count=random.randrange(1 << 30))
