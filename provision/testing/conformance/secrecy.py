"""Checks that secrets are never in the clear: not in answers, state, failures, status lines, notes or Python's log."""

import base64
import contextlib
import html
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import struct_pb2
from google.protobuf.message import Message

from provision.host.plugin.masking import secrets_in
from provision.host.plugin.shapes import record_of, to_wire_names
from provision.host.values import SecretValue, decode_struct, plain
from provision.spi import CanUpdate
from provision.testing.conformance.bench import Bench
from provision.testing.conformance.cases import Case, can, readable, samples
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.rehearsals import calls_of
from provision.testing.conformance.resuming import attempt
from provision.testing.conformance.samples import Sample
from provision.testing.conformance.subjects import Subject, subject_of
from provision.testing.conformance.verdicts import Unmet, expect
from provision.testing.faults import Effect
from provision.testing.harness import CheckRefused, Lifecycle, Made, OperationFailed

SHORTEST = 4
"""Secrets of samples must be longer than any text that occurs by chance."""


def cases(suite: SuiteDescription) -> Iterator[Case]:
    """For the configuration and every sample, where they have something to hide."""
    if any(field.secret for field in record_of(suite.provider.Config).fields.values()):
        yield Case("plugin-secrets", _configuration)
    for sample, kind in samples(suite):
        hidden = any(field.secret for field in record_of(kind.Inputs).fields.values())
        if hidden or sample.secrets:
            yield _case(sample)


async def _configuration(bench: Bench) -> None:
    shape = record_of(bench.suite.provider.Config)
    configs = [bench.config, *(to_wire_names(wrong, shape) for wrong in bench.platform.wrong_configs)]
    for config in configs:
        for given in (config, {**config, "noSuchSetting": "x"}):
            try:
                await bench.lifecycle.check_config(given)
            except CheckRefused as refused:
                bench.traffic.append(("a refused configuration", str(refused)))
        async with Lifecycle(bench.provider, configure=False, watch=bench.watch) as lifecycle:
            with contextlib.suppress(OperationFailed):
                await lifecycle.configure(config)
        bench.heard(lifecycle)
    secrets = {text for config in configs for text in secrets_in(config, shape) if len(text) >= SHORTEST}
    expect(
        secrets,
        "a platform sets a secret of the configuration, so that it can be looked for",
        f"none has {SHORTEST} characters",
        "give Platform.config or one of Platform.wrong_configs a secret",
    )
    _search(bench, secrets, set())


def _case(sample: Sample) -> Case:
    async def run(bench: Bench) -> None:
        async with subject_of(bench, sample) as subject:
            secrets, never = _secrets(subject), _never(subject)
            await _live(subject)
        await bench.again()  # what the former process still had to say is then known
        _search(bench, secrets, never)

    return Case(f"{sample.id}-secrets", run)


def _secrets(subject: Subject) -> set[str]:
    wanted = subject.wanted()
    shape = record_of(subject.kind.Inputs)
    unset = [wire for wire, field in shape.fields.items() if field.secret and not plain(wanted.get(wire))]
    alone = [item.token for item in subject.bench.suite.samples].count(subject.sample.token) == 1
    expect(
        not unset or not alone,
        "the sample gives every secret input a value, so that it can be looked for",
        f"{', '.join(unset)} has none",
        "give it a text that occurs nowhere else",
    )
    found = {*secrets_in(wanted, shape), *subject.sample.secrets}
    found |= set(secrets_in(subject.bench.config, record_of(subject.bench.suite.provider.Config)))
    short = [text for text in found if len(text) < SHORTEST]
    expect(not short, f"secrets of samples have at least {SHORTEST} characters", f"{len(short)} are shorter")
    return found


def _never(subject: Subject) -> set[str]:
    """Values that state does not hold even as secrets."""
    wanted, fields = subject.wanted(), record_of(subject.kind.Inputs).fields
    values = (plain(wanted.get(wire)) for wire, field in fields.items() if field.write_only)
    return {value for value in values if isinstance(value, str)}


async def _live(subject: Subject) -> None:
    """Do everything that could give a secret away."""
    bench, token = subject.bench, subject.sample.token
    wanted = subject.wanted()
    for wire, field in record_of(subject.kind.Inputs).fields.items():
        if field.secret and wire in wanted:
            for wrong in ([plain(wanted[wire])], {"is": plain(wanted[wire])}):
                try:
                    await bench.lifecycle.check(token, {**wanted, wire: wrong}, None, subject.name)
                except CheckRefused as refused:
                    bench.traffic.append(("a refused check", str(refused)))
    inputs = await subject.check()
    await subject.preview(inputs)
    calls = await calls_of(subject, subject.create(inputs))
    made = subject.made
    if readable(subject.kind):
        await subject.read(made)
        await subject.read(made.id)
    if subject.sample.updates and can(subject.kind, CanUpdate):
        new = await subject.check(subject.wanted(subject.sample.updates[0]), made)
        await subject.diff(new)
        await subject.update(new, preview=True)
        changing = await calls_of(subject, subject.update(new))
        made = await subject.back(made.inputs)
        await _fail_everywhere(subject, changing, lambda: subject.update(new, subject.made))
    await subject.delete()
    await _fail_everywhere(subject, calls, lambda: subject.create(inputs))


async def _fail_everywhere(subject: Subject, calls: list[str], work: Any) -> None:
    for index in subject.bench.chosen(calls, subject.sample, "secrets"):
        subject.bench.faults.arm(index, Effect.ERROR)
        await attempt(work())
        subject.bench.faults.forget()


def _search(bench: Bench, secrets: set[str], never: set[str]) -> None:
    looks = {form: secret for secret in secrets for form in _forms(secret)}
    for name, came in bench.traffic:
        for place, text in _texts(came, inside=True) if never else ():
            expect(
                not any(value in text for value in never),
                "values of write-only inputs are in no answer, not even as secrets",
                f"{name}, {place} holds one",
                "leave the value out of outputs, and do not give it in read",
            )
        for place, text in _texts(came):
            _expect_none(looks, text, f"{name}{f', {place}' if place else ''}")
    for line in bench.logged.lines:
        _expect_none(looks, line, "Python's log")


def _expect_none(looks: Mapping[str, str], text: str, where: str) -> None:
    for form, secret in looks.items():
        if form in text:
            raise Unmet(
                "secrets of the sample are nowhere in the clear",
                f"{where} holds one: {text.replace(form, '[the secret]')!r}",
                "annotate what holds it as Secret (or SecretStr), and keep it out of texts"
                + ("" if form == secret else "; it is encoded there, which hides nothing"),
            )


def _forms(secret: str) -> set[str]:
    """The secret as it looks quoted or encoded; only what is long enough not to occur by chance."""
    raw = secret.encode()
    forms = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], html.escape(secret), urllib.parse.quote(secret)}
    forms |= {base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    forms |= {raw.hex(), secret[::-1]} if len(secret) > SHORTEST else set()
    return forms


def _texts(came: Any, place: str = "", *, inside: bool = False) -> Iterator[tuple[str, str]]:
    """Every text in an answer with its place; in secrets' wrappers only when `inside`."""
    if isinstance(came, SecretValue):
        if inside:
            yield from _texts(plain(came), place, inside=True)
        return
    if isinstance(came, str):
        yield place, came
    elif isinstance(came, OperationFailed):
        yield "its failure", "\n".join((came.message, *came.reasons))
        if came.kept is not None:
            yield from _texts(came.kept, "what was kept", inside=inside)
    elif isinstance(came, Made):
        yield from _texts(came.outputs, place, inside=inside)
    elif isinstance(came, struct_pb2.Struct):
        yield from _texts(decode_struct(came), place, inside=inside)
    elif isinstance(came, Message):
        for field, value in came.ListFields():
            yield from _texts(value, field.name, inside=inside)
    elif isinstance(came, Mapping):
        for key, item in came.items():
            yield place, str(key)
            yield from _texts(item, f"{place}.{key}" if place else str(key), inside=inside)
    elif isinstance(came, list | tuple) or hasattr(came, "__iter__"):
        for item in came:
            yield from _texts(item, place, inside=inside)
