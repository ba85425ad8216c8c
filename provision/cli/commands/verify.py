"""`provision verify`."""

import json
import sys
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli import options

if TYPE_CHECKING:  # imported when the command runs
    from provision.cli.event_log import Write

_KINDS = ("translated", "accepted", "effective", "probed")


@click.command()
@click.option(
    "--static", is_flag=True, help="Send nothing: prove that the native rules, as `up` would make them, say the same."
)
@click.option(
    "--self-test",
    is_flag=True,
    help="Break native rules and settings, one at a time, and count what is noticed: with --static as they would be "
    "made, else a few of the live ones, each for a moment.",
)
@click.option(
    "--breaks",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="With --self-test: how many to break at most (default: 12 live ones, 2000 with --static).",
)
@click.option(
    "--require",
    "required",
    metavar="KIND,…",
    callback=lambda context, parameter, value: _kinds(value),
    help="Kinds of evidence that no required policy may lack: translated, accepted, effective, probed.",
)
@click.option(
    "--measure",
    is_flag=True,
    help="Make machines busy for some seconds too, to see that limits of CPU time and disks hold them.",
)
@click.option(
    "--exhaustive",
    is_flag=True,
    help="Send every packet between every two machines, however many and however alike they are.",
)
@options.rules
@options.output_format("human", "json", "markdown", "junit")
@options.events
@options.stack
@options.directory
def command(
    directory: Path,
    stack: str | None,
    output: str,
    events: Path | None,
    static: bool,
    required: tuple[str, ...],
    self_test: bool,
    breaks: int | None,
    measure: bool,
    exhaustive: bool,
    rules: tuple[Path, ...],
) -> int:
    """Send real packets between the machines of the stack in DIRECTORY and compare with its policies.

    What packets cannot show is looked at elsewhere: native rules are proven, what the platform records is read
    back, and what its host applies is looked at, for every policy and every share.

    Machines that the file treats alike share probes: each packet goes from and to each of them, something that is to
    pass and something that is not between every two, but not everything between every two. --exhaustive sends all.

    Machines that a policy holds to their identity send frames with false senders, and others listen for them.

    With --measure machines with a limit of CPU time or disks want more than that for some seconds each: what they get
    is measured. Their disks are only read.

    With --static nothing needs to be deployed: the native rules are read back as sets of packets and compared
    with the file; every difference is named by a packet.

    Of a stack in several locations, those that cannot be reached are named, and the others looked at; what was to be
    seen there counts as not proven.

    With --require, and where a policy of the file names kinds of `evidence` itself, evidence that is missing is a
    failure too; of kinds that no policy of its sort can have, nothing is asked.

    Of policies that are no packet rules, and of shares, --static holds native settings against the file.

    With --self-test it is shown besides what that is worth: how many broken rules and settings would be noticed.
    Without --static they are really broken, on the live platform, one at a time: each layer looks, and at once all is
    mended. What is broken is noted before, and if this process is killed another one mends it; `verify`, `up` and
    `refresh` do that too. Policies that say what becomes of open connections (`revoke`) are taken away for a moment,
    with a connection open. Isolation is weaker for those seconds: give it a stack on which that may be.

    Rules of the organisation are held against the file as by `validate`.

    Exits with 3 when what is seen differs from what the stack file says, when required evidence is missing, and when
    a rule is broken.
    """
    if static and set(required) - {"translated"}:
        raise click.UsageError("--static gives evidence of the kind 'translated' alone; leave it out to have others")
    if static and measure:
        raise click.UsageError("--static looks at no machine; leave --measure out")
    if static and exhaustive:
        raise click.UsageError("--static sends nothing; leave --exhaustive out")
    if static and output == "junit":
        raise click.UsageError("--static is one proof, and no list of tests; choose another --format")
    if breaks is not None and not self_test:
        raise click.UsageError("--breaks says how many rules --self-test is to break: give that too")
    if self_test and not static and output == "junit":
        raise click.UsageError("a self-test is one score, and no list of tests; choose another --format")
    from provision.cli.watched import watched
    from provision.host.project import names

    with watched(events, "verify", *names(directory, stack), here=True) as log:
        if static:
            return _prove(directory, stack, output, self_test, breaks, rules)
        return _probe(directory, stack, output, required, self_test, breaks, measure, exhaustive, rules, log)


def _kinds(written: str | None) -> tuple[str, ...]:
    """The kinds of evidence in a list with commas."""
    found = tuple(word.strip() for word in (written or "").split(",") if word.strip())
    if unknown := [word for word in found if word not in _KINDS]:
        raise click.BadParameter(f"'{unknown[0]}' is no kind of evidence; there are {', '.join(_KINDS)}")
    return found


def _probe(
    directory: Path,
    stack: str | None,
    output: str,
    required: tuple[str, ...],
    self_test: bool,
    breaks: int | None,
    measure: bool,
    exhaustive: bool,
    rules: tuple[Path, ...],
    log: "Write",
) -> int:
    from dataclasses import replace

    from rich.console import Console

    from provision.cli.deployed import open_deployed
    from provision.cli.guardrails import kept
    from provision.cli.mending import guarded, journal_of, mend
    from provision.cli.messages import show_error
    from provision.cli.planned import configuration, load_configured, named_rules
    from provision.cli.watched import phases
    from provision.errors import UserError
    from provision.spi import Evidence
    from provision.verify import as_data, human, junit, markdown, selftest, verify

    with open_deployed(directory, stack, partly=True) as deployed:
        workspace, made = deployed.workspace, deployed.stack
        mend(deployed, directory)
        if self_test and deployed.away:
            raise next(iter(deployed.away.values()))
        config = configuration(workspace)
        loaded = load_configured(directory, workspace, config, made.platform if made.has_default else None)
        checked = kept(loaded, rules, named_rules(config), made.recorded)
        with Console(stderr=True).status("probing") as status:

            def show(phase: str, done: int, total: int) -> None:
                status.update(f"{phase}: {done} of {total}")

            progress = phases(log, show)
            kinds = [Evidence(kind) for kind in required]
            report = verify(
                loaded,
                made,
                deployed.provider,
                deployed.session,
                progress,
                sites=deployed.reached,
                away={location: error.summary for location, error in deployed.away.items()},
                required=kinds,
                measuring=measure,
                exhaustive=exhaustive,
            )
            score, refused = None, None
            if self_test:
                places = deployed.reached or {"": (deployed.provider, deployed.session)}
                journal, most = journal_of(workspace, directory), breaks or selftest.BREAKS
                try:
                    with guarded(workspace, directory):
                        score = selftest.self_test(loaded, made, places, report, journal, progress, breaks=most)
                except UserError as error:
                    refused = error
    report = replace(report, rules=checked)
    if output == "json":
        more = {"self_test": selftest.live_data(score)} if score else {}
        click.echo(json.dumps({**as_data(report), **more}, indent=2))
    elif output == "markdown":
        click.echo(markdown(report))
        for line in [selftest.live_summary(score), *selftest.live_lines(score)] if score else []:
            click.echo(f"- {line}")
    elif output == "junit":
        click.echo(junit(report), nl=False)
    else:
        Console(soft_wrap=not sys.stdout.isatty()).print(human(report))
        for line in selftest.live_lines(score) if score else []:
            click.secho(line, fg="yellow")
        if score:
            click.echo(selftest.live_summary(score))
    if refused:
        show_error(refused)  # what was seen is shown all the same
        return report.exit_code or 1
    return report.exit_code or (3 if score and score.astray else 0)


def _prove(
    directory: Path, stack: str | None, output: str, self_test: bool, breaks: int | None, rules: tuple[Path, ...]
) -> int:
    from provision.cli.guardrails import kept
    from provision.cli.planned import named_rules, planned_configured
    from provision.verify import selftest
    from provision.verify.evidence import OF_PACKETS
    from provision.verify.proof import as_data, joined, lines, markdown, summary
    from provision.verify.render import rules_data
    from provision.verify.settings import read_settings
    from provision.verify.words import of_rules

    made = planned_configured(directory, stack)
    checked, parts = kept(made.loaded, rules, named_rules(made.config), made.recorded), made.parts
    proof = joined([part.prove() for part in parts])
    settings = read_settings(parts, OF_PACKETS)
    most = breaks or selftest.MOST
    score = reduce(add, [selftest.score(part, most) for part in parts]) if self_test else None
    if output == "json":
        more = {"self_test": selftest.as_data(score)} if score else {}
        click.echo(
            json.dumps(
                {**as_data(proof), "settings": settings.as_data(), "rules": rules_data(checked), **more}, indent=2
            )
        )
    elif output == "markdown":
        click.echo(markdown(proof), nl=False)
        for line in settings.wrong:
            click.echo(f"\n- settings: {line}", nl=False)
        for line in [selftest.summary(score), *selftest.lines(score)] if score else []:
            click.echo(f"\n- {line}", nl=False)
        for line in of_rules(checked):
            click.echo(f"\n- rule: {line}", nl=False)
    else:
        for line in lines(proof):
            click.secho(line, fg="red")
        click.secho(summary(proof), bold=True, fg="green" if proof.holds else "red")
        for line in settings.wrong:
            click.secho(f"settings: {line}", fg="red")
        if settings.policies or settings.shares:
            click.echo(settings.summary)
        for line in of_rules(checked):
            click.secho(f"rule: {line}", fg="red" if ": error: " in line else None)
        for line in selftest.lines(score) if score else []:
            click.secho(line, fg="yellow")
        if score:
            click.echo(selftest.summary(score))
    right = proof.holds and not settings.wrong
    return 0 if right and not (checked is not None and checked.broken) else 3
