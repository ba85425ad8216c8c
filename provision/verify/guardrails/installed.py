"""Rules in Python, from installed distributions: entry points of the group `provision.rules`."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points

from provision.errors import PluginError, ProvisionError
from provision.loader.rule_files import GROUP
from provision.verify.guardrails.check import CodeRule, Finding
from provision.verify.guardrails.seen import StackView


def installed_rules(found: Iterable[EntryPoint] | None = None) -> Mapping[str, CodeRule]:
    """The installed rules by name; they hold for every stack.

    Args:
        found: instead of the entry points that are installed.

    Raises:
        PluginError: one cannot be imported, is no function of one argument, or two have one name.
    """
    rules: dict[str, CodeRule] = {}
    for entry in sorted(entry_points(group=GROUP) if found is None else found, key=lambda one: one.name):
        if entry.name in rules:
            raise PluginError(f"two installed rules are called '{entry.name}'", "uninstall or rename one of them")
        rules[entry.name] = _Guarded(entry)
    return rules


class _Guarded:
    """An installed rule whose mistakes are told as such."""

    def __init__(self, entry: EntryPoint) -> None:
        self._called = f"the rule '{entry.name}' ({entry.value})"
        try:
            self._rule = entry.load()
            inspect.signature(self._rule).bind(None)
        except Exception as error:
            raise self._wrong(f"cannot be used: {type(error).__name__}: {error}") from error

    def __call__(self, view: StackView) -> Iterator[Finding]:
        try:
            found = list(self._rule(view))
        except ProvisionError:
            raise
        except Exception as error:
            raise self._wrong(f"failed: {type(error).__name__}: {error}") from error
        for item in found:
            if not isinstance(item, Finding):
                raise self._wrong(f"gives a {type(item).__name__}, and not a Finding")
            yield item

    def _wrong(self, what: str) -> PluginError:
        return PluginError(f"{self._called} {what}", "report it to whoever wrote the rule; without it nothing is made")
