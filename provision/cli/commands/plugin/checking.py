"""Run the conformance kit on an installed plugin."""

import contextlib
import inspect
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from fnmatch import fnmatchcase
from importlib.metadata import EntryPoint, entry_points
from typing import IO
from xml.etree import ElementTree

import click

from provision.cli.commands.plugin import static
from provision.cli.words import plural
from provision.errors import PluginError, UserError
from provision.spi import registry
from provision.testing.conformance.report import Outcome, Result
from provision.testing.conformance.suite import ConformanceSuite, run_conformance

GROUP = "provision.conformance"
"""Entry points that name a plugin's suite: `NAME = "module:Suite"`."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WORDS = {Outcome.PASSED: ("ok", "green"), Outcome.FAILED: ("FAILED", "red"), Outcome.GAP: ("gap", "yellow")}


def run(name: str, only: str | None, output: str) -> int:
    """Make all checks, or those whose name matches `only`; 1 when one fails.

    Raises:
        ProvisionError: the plugin or its suite cannot be loaded, or no check has such a name.
    """
    stdout = sys.stdout
    progress = _progress(stdout) if output == "human" else None
    started = time.monotonic()
    # What the plugin prints must not end up in a document.
    with contextlib.redirect_stdout(sys.stderr):
        provider = registry.load(name)
        suite = find_suite(name)
        results: list[Result] = []
        names = [case.name for case in suite.cases()] if suite else []
        alone = [check for check in static.CHECKS if check not in names]
        for check in alone:
            if only is None or fnmatchcase(check, only):
                results.append(static.run(check, provider))
                if progress:
                    progress(results[-1])
        if suite is not None:
            results += run_conformance(suite, only, progress).results
    if only is not None and not results:
        raise UserError(f"no check is called '{only}'", _others(only, [*alone, *names]))
    seconds = time.monotonic() - started
    failed = any(result.outcome is Outcome.FAILED for result in results)
    if output == "json":
        click.echo(_json(name, suite, results, seconds, failed=failed))
    elif output == "junit":
        click.echo(_junit(name, results, seconds))
    else:
        click.secho(f"{name}: {_summary(results)} in {seconds:.1f} s", bold=True)
    if suite is None:
        click.secho("note: ", fg="yellow", bold=True, nl=False, err=True)
        click.echo(_no_suite(name), err=True)
    return 1 if failed else 0


def find_suite(name: str) -> type[ConformanceSuite] | None:
    """The suite that a plugin brings; None when it brings none.

    Raises:
        PluginError: it cannot be imported, is no suite, or is another plugin's.
    """
    found: Sequence[EntryPoint] = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if not found:
        return None
    entry, fix = found[0], "report this to the plugin's author"
    if len(found) > 1:
        owners = ", ".join(registry.distribution(item) for item in found)
        raise PluginError(f"{len(found)} suites are called '{name}' ({owners})", "uninstall all but one of them")
    try:
        suite = entry.load()
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"the conformance suite of '{name}' ({entry.value}) cannot be imported: {registry.told(error)}",
            fix,
        ) from error
    if not (inspect.isclass(suite) and issubclass(suite, ConformanceSuite)):
        raise PluginError(f"the conformance suite of '{name}' ({entry.value}) is no ConformanceSuite", fix)
    provider = getattr(suite, "provider", None)
    if getattr(provider, "name", None) != name:
        raise PluginError(f"the conformance suite of '{name}' ({entry.value}): `provider` must be that plugin", fix)
    return suite


def _others(only: str, names: Sequence[str]) -> str:
    within = f"*{only.strip('*')}*"
    if any(fnmatchcase(check, within) for check in names):
        return f"a pattern is for the whole name, in which '*' stands for any text: --only '{within}'"
    close = get_close_matches(only, names, 1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}checks: {', '.join(names)}"


def _no_suite(name: str) -> str:
    return (
        f"'{name}' brings no conformance suite, so only what it says of itself was checked.\n"
        "  fix: subclass provision.testing.ConformanceSuite with a platform and a sample of each resource type,\n"
        f'       and name it in pyproject.toml: [project.entry-points."{GROUP}"] {name} = "module:Suite"\n'
        "       (`provision plugin new` makes an example; docs/plugin-guide.md explains it)"
    )


def _progress(stdout: IO[str]) -> Callable[[Result], None]:
    def show(result: Result) -> None:
        word, color = _WORDS[result.outcome]
        click.secho(f"{word:<8}", fg=color, nl=False, file=stdout)
        click.echo(f"{result.name:<58}{result.seconds:>7.2f} s", file=stdout)
        for line in result.message.splitlines():
            click.echo(f"        {line}", file=stdout)
        for text in result.notes:
            click.secho(f"        {text}", dim=True, file=stdout)

    return show


def _counts(results: Sequence[Result]) -> dict[str, int]:
    return {str(outcome): sum(result.outcome is outcome for result in results) for outcome in Outcome}


def _summary(results: Sequence[Result]) -> str:
    counts = _counts(results)
    said = [f"{counts['passed']} passed", f"{counts['failed']} failed"]
    return ", ".join([*said, *([plural(counts["gap"], "declared gap")] if counts["gap"] else [])])


def _json(
    name: str, suite: type[ConformanceSuite] | None, results: Sequence[Result], seconds: float, *, failed: bool
) -> str:
    document = {
        "succeeded": not failed,
        "plugin": name,
        "suite": f"{suite.__module__}:{suite.__qualname__}" if suite else None,
        "seconds": round(seconds, 3),
        "counts": _counts(results),
        "checks": [asdict(result) for result in results],
    }
    return json.dumps(document, indent=2)


def _junit(name: str, results: Sequence[Result], seconds: float) -> str:
    counts = _counts(results)
    numbers = {
        "tests": str(len(results)),
        "failures": str(counts["failed"]),
        "errors": "0",
        "skipped": str(counts["gap"]),
        "time": f"{seconds:.3f}",
    }
    root = ElementTree.Element("testsuites", {"name": "provision plugin check", **numbers})
    suite = ElementTree.SubElement(root, "testsuite", {"name": f"provision-{name}", **numbers})
    for result in results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            {"classname": f"provision-{name}", "name": _clean(result.name), "time": f"{result.seconds:.3f}"},
        )
        text = _clean(result.message)
        if result.outcome is Outcome.FAILED:
            failure = ElementTree.SubElement(case, "failure", {"message": text.partition("\n")[0]})
            failure.text = text
        elif result.outcome is Outcome.GAP:
            ElementTree.SubElement(case, "skipped", {"message": f"declared gap: {text}"})
        if result.notes:
            ElementTree.SubElement(case, "system-out").text = _clean("\n".join(result.notes))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _clean(text: str) -> str:
    """XML has no place for most control characters."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
