"""Laws of the loader: nothing crashes it, what it reads can be written and read again, overlays and expressions."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from provision.errors import StackFileError, UserError
from provision.loader import Loaded, load, render
from provision.loader.expressions import (
    LATER,
    Expression,
    ExpressionError,
    Literal,
    escape,
    evaluate,
    evaluate_now,
    parse,
)
from provision.loader.nodes import Node, plain
from provision.loader.overlay import merge
from provision.loader.reader import read
from provision.models import Stack

VALID = """\
version: 1
platform: memory
parameters: {size: {type: integer, default: 2}}
networks:
  front: {cidr: 10.0.0.0/24, cidr6: "fd00::/64", dhcp: {enabled: true, range: [10.0.0.100, 10.0.0.200]}}
machines:
  web:
    count: ${param.size}
    image: micro
    memory: 96MiB
    nics: [{network: front, address: [10.0.0.5, 10.0.0.6]}]
    labels: {tier: web}
    user_data: {text: "#!/bin/sh\\necho ${machine.db.address}", template: true}
  db: {image: micro, memory: 1GiB, nics: [{network: front}], disks: {data: {size: 1GiB}}}
isolation:
  policies:
    http: {kind: traffic, from: [outside, label.tier=web], to: [machine.db], allow: [tcp/80, icmp]}
    spoof: {kind: anti_spoofing, machines: ["machine.*"]}
sharing: {shares: {s: {machines: [machine.db], nic: {inbound: 100Mbit/s}}}}
outputs: {db: "${machine.db.address}"}
"""
SECRET = "correct-horse-battery"


def load_text(text: str | bytes, overlay: str | None = None, **options: Any) -> Loaded:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "stack.yaml")
        file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        if overlay is not None:
            Path(directory, "stack.over.yaml").write_text(overlay, encoding="utf-8")
        return load(file, overlay="over", **options)


def rendered(error: StackFileError) -> str:
    assert error.diagnostics
    return render(error, error.source_map, color=False)


def outcome(text: str | bytes, **options: Any) -> str:
    """What a person sees; anything but a diagnosis passes through as the failure that it is."""
    try:
        loaded = load_text(text, **options)
    except StackFileError as error:
        return rendered(error)
    except UserError as error:
        return str(error)
    return render(loaded.diagnostics, loaded.source_map, color=False)


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_a_stack_or_a_diagnosis(text: str | bytes) -> None:
    outcome(text)


FRAGMENTS = st.sampled_from(
    ["\t", "&a ", "*a", "<<: ", "${", "${param.size}", "${ref.a.b}", "- ", "[", "]", "{", "}", "null", "\n---\n", '"',
     ": ", "!x ", "? ", "|", "-1", "1e999", ".nan", "true", "0x1f", "{}", "[]", "x-y: ", "\r\n", "\x00", "\u2028", "#"]
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(0, 12), FRAGMENTS), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_a_damaged_file_gives_a_stack_or_a_diagnosis(edits: list[tuple[int, int, str]]) -> None:
    text = VALID
    for at, length, fragment in edits:
        text = text[:at] + fragment + text[at + length :]
    outcome(text)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 1 << 70), st.floats(), st.text(max_size=8),
    st.sampled_from(["web", "front", "10.0.0.0/24", "1GiB", "traffic", "machine.web", "${param.size}", "${ref.r.x}"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    return found + [place for key, inner in entries for place in places(inner, (*path, key))]


VALID_DATA = plain(read(VALID, "stack.yaml")[0] or Node(None, ("", 1, 1, 1)))


@given(st.lists(st.tuples(st.sampled_from(places(VALID_DATA)), VALUES), min_size=1, max_size=3))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_anywhere_gives_a_stack_or_a_diagnosis(edits: list[tuple[tuple[Any, ...], Any]]) -> None:
    data = json.loads(json.dumps(VALID_DATA))
    for path, value in edits:
        holder = data
        for part in path[:-1]:
            if isinstance(holder, dict) or (isinstance(holder, list) and isinstance(part, int) and part < len(holder)):
                holder = holder.get(part) if isinstance(holder, dict) else holder[part]
        if isinstance(holder, dict) or (isinstance(holder, list) and path[-1] in range(len(holder))):
            holder[path[-1]] = value
    text = json.dumps(data, ensure_ascii=False)
    shown = outcome(text)
    assert "Input should" not in shown
    assert "lax-or-strict" not in shown


@given(st.sampled_from(places(VALID_DATA)))
@settings(max_examples=100, deadline=None)
def test_a_secret_is_never_shown_wherever_it_is_used(path: tuple[Any, ...]) -> None:
    data = json.loads(json.dumps(VALID_DATA))
    data["parameters"]["token"] = {"secret": True}
    holder = data
    for part in path[:-1]:
        holder = holder[part]
    for value in ("${param.token}", "a${param.token}b"):
        holder[path[-1]] = value
        shown = outcome(json.dumps(data), values={"token": SecretStr(SECRET)})
        assert SECRET not in shown


NAMES = st.from_regex(r"\A[a-z][a-z0-9-]{0,6}[a-z]\Z")
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
LABELS = st.dictionaries(st.from_regex(r"\A[a-z.]{1,6}\Z"), st.from_regex(r"\A[a-z0-9]{1,5}\Z"), max_size=3)


@st.composite
def stacks(draw: st.DrawFn) -> dict[str, Any]:
    networks = draw(st.lists(NAMES, unique=True, max_size=3))
    machines = draw(st.lists(NAMES, unique=True, max_size=4))
    data: dict[str, Any] = {"version": 1, "platform": "memory", "description": draw(TEXTS).replace("${", "")}
    data["networks"] = {
        name: {
            "cidr": f"10.{index}.0.0/16",
            "internet": draw(st.sampled_from(["none", "nat", "routed"])),
            "mtu": draw(st.one_of(st.none(), st.integers(576, 9000))),
            "labels": draw(LABELS),
        }
        for index, name in enumerate(networks)
    }
    data["machines"] = {
        name: {
            "image": draw(NAMES),
            "memory": f"{draw(st.integers(1, 4096))}MiB",
            "cpus": draw(st.integers(1, 64)),
            "count": draw(st.one_of(st.none(), st.integers(0, 9))),
            "power": draw(st.sampled_from(["running", "stopped"])),
            "ready_timeout": draw(st.sampled_from(["300s", "1500ms", "2h", "0.5s", "90s"])),
            "labels": draw(LABELS),
            "nics": [{"network": n, "public": draw(st.booleans())} for n in networks if draw(st.booleans())],
            "disks": {
                d: {
                    "size": f"{draw(st.integers(1, 99))}GiB",
                    "encrypted": draw(st.booleans()),
                    "throughput": "125MiB/s",
                }
                for d in draw(st.lists(NAMES, unique=True, max_size=2))
            },
        }
        for name in machines
    }
    peers = ["outside", "host", "internet", "192.0.2.0/24", *[f"machine.{name}" for name in machines]]
    policies: dict[str, Any] = {}
    if machines:
        for name in draw(st.lists(NAMES, unique=True, max_size=3)):
            policies[name] = {
                "kind": "traffic",
                "from": draw(st.lists(st.sampled_from(peers), min_size=1, max_size=3)),
                "to": [f"machine.{draw(st.sampled_from(machines))}"],
                "allow": draw(
                    st.lists(st.sampled_from(["tcp/80", "udp/53-60", "icmp", "any"]), min_size=1, max_size=2)
                ),
            }
        data["sharing"] = {"shares": {"s": {"machines": ["machine.*"], "nic": {"inbound": "100Mbit/s"}}}}
    data["isolation"] = {"default": draw(st.sampled_from(["deny", "allow"])), "policies": policies}
    return data


@given(stacks())
@settings(max_examples=80, deadline=None)
def test_what_is_loaded_can_be_dumped_and_loaded_again(data: dict[str, Any]) -> None:
    first = load_text(json.dumps(data, ensure_ascii=False)).stack
    dumped = first.model_dump_json(by_alias=True, exclude_defaults=False)
    assert load_text(dumped).stack == first
    assert Stack.model_validate(data) == first


def node(value: Any) -> Node:
    place = ("f", 1, 1, 1)
    if isinstance(value, dict):
        return Node({key: node(inner) for key, inner in value.items()}, place)
    return Node([node(inner) for inner in value] if isinstance(value, list) else value, place)


def patch(base: Any, over: Any) -> Any:
    """RFC 7396 as the specification writes it."""
    if not isinstance(over, dict):
        return over
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = patch(result.get(key), value)
    return result


KEYS = st.sampled_from("abc")
TREES = st.recursive(
    st.one_of(st.none(), st.integers(0, 3)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(KEYS, inner, max_size=3)),
)
MAPS = st.dictionaries(KEYS, TREES, max_size=3)


@given(MAPS, MAPS)
def test_an_overlay_merges_as_a_json_merge_patch(base: dict[str, Any], over: dict[str, Any]) -> None:
    assert plain(merge(node(base), node(over))) == patch(base, over)


@given(MAPS, MAPS)
def test_overlays_have_an_identity_and_are_idempotent(base: dict[str, Any], over: dict[str, Any]) -> None:
    assert plain(merge(node(base), node({}))) == base
    once = merge(node(base), node(over))
    assert plain(merge(once, node(over))) == plain(once)


@given(MAPS, KEYS)
def test_null_in_an_overlay_deletes(base: dict[str, Any], key: str) -> None:
    assert key not in plain(merge(node(base), node({key: None})))  # type: ignore[operator]


def refuse(expression: Expression) -> Any:
    raise AssertionError(f"{expression} was not escaped")


DOLLARS = st.text("${}a.", max_size=12)


@given(st.one_of(DOLLARS, st.text()))
def test_escaped_text_evaluates_to_itself(text: str) -> None:
    assert evaluate(escape(text), refuse) == text
    assert evaluate(evaluate_now(escape(text), refuse), refuse) == text


def check_explained(error: ExpressionError, text: str) -> None:
    assert error.fix
    assert 0 <= error.offset < len(text)


@given(st.one_of(DOLLARS, st.text("${}param.chine x[0]", max_size=30)))
def test_parts_cover_the_text_in_order_or_the_mistake_is_explained(text: str) -> None:
    try:
        parts = parse(text)
    except ExpressionError as error:
        check_explained(error, text)
        return
    assert [part.offset for part in parts] == sorted(part.offset for part in parts)
    for part in parts:
        if isinstance(part, Expression):
            assert parse(str(part)) == [Expression(part.root, part.path, 0, len(str(part)))]


PIECES = st.lists(
    st.one_of(
        DOLLARS.map(lambda text: Literal(text)),
        st.sampled_from([Expression("param", ("a",)), Expression("machine", ("m", "name"))]),
    ),
    min_size=1,
    max_size=5,
)


@given(PIECES, DOLLARS, DOLLARS)
def test_evaluating_in_two_steps_gives_what_one_step_gives(pieces: list[Any], value: str, name: str) -> None:
    text = "".join(escape(piece.text + "{")[:-1] if isinstance(piece, Literal) else str(piece) for piece in pieces)

    def now(expression: Expression) -> Any:
        return value if expression.root == "param" else LATER

    def then(expression: Expression) -> Any:
        return value if expression.root == "param" else name

    assert evaluate(evaluate_now(text, now), then) == evaluate(text, then)


def test_what_is_derived_from_a_secret_is_secret() -> None:
    for text in ("${param.a}", "x${param.a}y"):
        for how in (evaluate, evaluate_now):
            assert isinstance(how(text, lambda _: SecretStr("hush")), SecretStr)


def test_a_list_cannot_be_a_part_of_a_text() -> None:
    with pytest.raises(ExpressionError, match="is a list"):
        evaluate("a ${param.a}", lambda _: ["x"])
