"""Data functions in terms of wire values: what the servicer calls, and what calls the plugin."""

from collections.abc import Mapping, Sequence
from typing import Any

from provision.errors import PluginError
from provision.host.plugin.checking import Failure, check
from provision.host.plugin.masking import SHORTEST, secrets_in
from provision.host.plugin.running import with_retries
from provision.host.plugin.shapes import Record, record_of
from provision.host.plugin.wire import dump, public
from provision.host.values import SecretValue, plain
from provision.spi.functions import AnyFunction, FunctionRequest
from provision.spi.operation import Operation

Wire = Mapping[str, Any]


class DataFunction:
    """Serves one function."""

    def __init__(self, kind: type[AnyFunction], plugin: str) -> None:
        """Serve `kind` of the plugin called `plugin`."""
        self.kind = kind
        self.token = kind.token
        self._implementation = kind()
        self._plugin = plugin

    @property
    def arguments(self) -> Record:
        """Shape of the arguments."""
        return record_of(self.kind.Arguments)

    def check(self, arguments: Wire) -> tuple[dict[str, Any], Sequence[Failure]]:
        """Arguments with defaults filled in, and what is wrong with them."""
        return check(self.kind.Arguments, plain(public(arguments)))

    def call(self, running: Operation, arguments: Wire, given: Wire) -> dict[str, Any]:
        """The answer: secret where the model says so, and wherever the text of a secret that was `given` stands.

        Args:
            running: the operation.
            arguments: checked ones.
            given: as they came, with what a program calls a secret wrapped.
        """
        request = FunctionRequest(running, self.kind.Arguments.model_validate(plain(arguments)))
        answer = with_retries(lambda: self._implementation.call(request), running)
        if not isinstance(answer, self.kind.Result):
            raise PluginError(
                f"plugin '{self._plugin}': {self.token}: `call` must return a {self.kind.Result.__name__}",
                "report this to the plugin's author",
            )
        secrets = {text for text in secrets_in(given, self.arguments) if len(text) >= SHORTEST}
        return {key: _hidden(item, secrets) for key, item in dump(answer).items()}


def _hidden(value: Any, secrets: set[str]) -> Any:
    if isinstance(value, SecretValue) or not secrets:
        return value
    if isinstance(value, Mapping):
        if any(secret in key for key in value for secret in secrets):
            return SecretValue(plain(value))
        return {key: _hidden(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(item, secrets) for item in value]
    shown = str(value)
    return SecretValue(value) if any(secret in shown for secret in secrets) else value
