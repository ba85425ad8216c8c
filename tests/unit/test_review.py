"""The reviewer's page: what a change does comes in the order in which it matters, and fits into a comment."""

import re
from dataclasses import replace
from typing import Any

import pytest
from test_verify_intent import machine, stack_of, traffic

from provision.cli.changes import Changes
from provision.cli.review import Isolation, Review, page
from provision.cli.review.sizes import sizes
from provision.cli.review.text import code, escaped, fenced
from provision.host.events import LATER, Message, PropertyChange, ResourceStep, translate
from provision.host.result import RunResult
from provision.models import Stack
from provision.translate import Scope, address_inputs, allocate, nic_addresses, recall, record
from provision.verify.reach.difference import Crossing, View, difference

NETWORKS = {
    "front": {"cidr": "10.1.0.0/24", "cidr6": "fd00:1::/64", "internet": "routed"},
    "back": {"cidr": "10.2.0.0/24"},
}
MACHINES = {
    "web": machine("front", count=2, labels={"tier": "web"}),
    "app": machine("front", "back"),
    "db": machine("back", labels={"tier": "data"}),
}
POLICIES = {
    "world-to-web": traffic("outside", "machine.web", "tcp/80"),
    "app-to-db": traffic("machine.app", "machine.db", "tcp/5432"),
}


def view(policies: dict[str, Any], machines: Any = MACHINES, networks: Any = NETWORKS, without: Any = ()) -> View:
    """A stack as the state keeps it."""
    stack = recall(record(stack_of(policies, networks, machines)))
    assert isinstance(stack, Stack)
    assigned, failures = allocate(address_inputs(stack, Scope("", "")), {})
    assert not failures
    return View(stack, nic_addresses(stack, assigned), frozenset(without))


def told(before: View | None, after: View) -> list[str]:
    sign = {True: "+", False: "-"}
    return [
        f"{sign[c.opened]} {c.source} -> {c.destination}: {', '.join(c.services)}" for c in difference(before, after)
    ]


# What a change opens and closes


def test_what_is_recorded_gives_the_same_relation_back() -> None:
    stack = stack_of(POLICIES, NETWORKS, MACHINES)
    again = recall(record(stack))
    assert again is not None
    assert record(again) == record(stack)
    assert again.isolation == stack.isolation
    assert again.networks == stack.networks
    assert [m.labels for m in again.machines.values()] == [m.labels for m in stack.machines.values()]


@pytest.mark.parametrize("text", ["", "[]", "1", "{", '{"version":7}', '{"version":1,"machines":[]}'])
def test_a_record_that_cannot_be_read_is_no_stack(text: str) -> None:
    assert recall(text) is None


def test_nothing_changes_between_equal_stacks_and_after_a_change_that_opens_nothing() -> None:
    assert told(view(POLICIES), view(POLICIES)) == []
    closed = {**POLICIES, "no-way": traffic("machine.web", "machine.db", "tcp/22")}  # they share no network
    assert told(view(POLICIES), view(closed)) == []


def test_a_new_service_and_a_revoked_one_are_told_with_who_and_by_which_policy() -> None:
    changed = {
        "world-to-web": traffic("outside", "machine.web", "tcp/80-81", "icmp"),
        "web-to-db": traffic("machine.app", "machine.db", "tcp/22"),
    }
    found = difference(view(POLICIES), view(changed))
    assert found == [
        Crossing("app (back)", "db", ("tcp/22",), ("web-to-db",), opened=True),
        Crossing("app (back)", "db", ("tcp/5432",), ("app-to-db",), opened=False),
        Crossing("outside", "web", ("tcp/81", "icmp"), ("world-to-web",), opened=True),
    ]


def test_a_prefix_the_internet_and_the_rest_of_the_world_are_told_apart() -> None:
    base = view(POLICIES)
    assert told(base, view({**POLICIES, "p": traffic("198.51.100.0/24", "machine.web", "tcp/22")})) == [
        "+ 198.51.100.0/24 -> web: tcp/22"
    ]
    assert told(base, view({**POLICIES, "p": traffic("internet", "machine.web", "tcp/22")})) == [
        "+ internet -> web: tcp/22"
    ]


def test_machines_that_come_and_go_are_new_and_gone_ends() -> None:
    fewer = MACHINES | {"web": machine("front", count=1, labels={"tier": "web"})}
    assert difference(view(POLICIES), view(POLICIES, fewer)) == [
        Crossing("outside", "web-1", ("tcp/80",), ("world-to-web",), opened=False, fresh_destination=True)
    ]
    assert difference(view(POLICIES, fewer), view(POLICIES)) == [
        Crossing("outside", "web-1", ("tcp/80",), ("world-to-web",), opened=True, fresh_destination=True)
    ]
    clients = POLICIES | {"web-to-app": traffic("machine.web", "machine.app", "tcp/8080")}
    for before, after, opened in (
        (view(clients), view(clients, fewer), False),
        (view(clients, fewer), view(clients), True),
    ):
        (sends,) = (one for one in difference(before, after) if one.source.startswith("web-1"))
        assert (sends.destination, sends.opened, sends.fresh_source, sends.fresh_destination) == (
            "app (front)", opened, True, False,
        )  # fmt: skip
    assert sorted(told(None, view(POLICIES))) == ["+ app (back) -> db: tcp/5432", "+ outside -> web: tcp/80"]


def test_networks_and_downgrades_open_and_close_too() -> None:
    shut = NETWORKS | {"front": NETWORKS["front"] | {"internet": "none"}}
    assert told(view(POLICIES), view(POLICIES, networks=shut)) == ["- outside -> web: tcp/80"]
    wide = {
        "any": traffic("machine.*", "machine.*", "any"),
        "apart": {"kind": "peer_isolation", "machines": ["machine.web"]},
    }
    assert told(view(wide), view(wide, without=["apart"])) == ["+ web -> web: everything"]


# The page


KIND = "provision-memory:index:Server"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def step(name: str, op: str, kind: str = KIND, *changes: PropertyChange) -> ResourceStep:
    return ResourceStep("done", op, f"urn:pulumi:dev::shop::provision:index:Stack${kind}::{name}", changes)


def review(*steps: ResourceStep, isolation: Isolation | None = None, **result: Any) -> Review:
    changes = Changes(preview=True)
    for one in steps:
        changes.take(one)
    said = RunResult(**{"succeeded": True} | result)
    return Review("shop", "dev", said, changes, isolation or Isolation())


def test_the_first_line_is_the_marker_by_which_a_pipeline_finds_its_comment() -> None:
    assert page(review()).splitlines()[0] == "<!-- provision preview shop/dev -->"


def test_data_loss_comes_first_then_isolation_then_downgrades_then_the_rest() -> None:
    urn = "urn:pulumi:dev::shop::provision:index:Stack$provision-memory:index:Server::machines/web/server"
    text = page(
        review(
            step("machines/db/disk-data", "delete"),
            step("machines/db/server", "delete"),
            step(
                "machines/web/server", "update", "provision-memory:index:Server", PropertyChange("memoryMib", "64 → 65")
            ),
            step("machines/new/server", "create"),
            step("networks/front/network", "replace"),
            isolation=Isolation((Crossing("outside", "db", ("tcp/5432",), ("open",), opened=True),)),
            downgraded={"apart": "this platform cannot"},
            messages=[
                Message("info", "restarts: memoryMib changes", urn),
                Message("warning", "policy 'apart' is not enforced"),
                Message("warning", "something else"),
            ],
        )
    )
    heads = [line for line in text.splitlines() if line.startswith(("#", "<details>"))]
    assert heads == [
        "## Preview of `dev` of `shop`",
        "### Data will be lost",
        "### Isolation",
        "### Policies that are not enforced",
        "<details><summary>1 warning</summary>",
        "### Changes",
        "<details><summary>Destroys data: 1 resource</summary>",
        "<details><summary>Replaced by new ones: 1 resource</summary>",
        "<details><summary>Restarted: 1 resource</summary>",
        "<details><summary>Deleted: 1 resource</summary>",
        "<details><summary>Created: 1 resource</summary>",
    ]
    assert "- `machines/db/disk-data` is deleted, and the data on it is gone" in text
    assert "| outside | db | `tcp/5432` | `open` |" in text
    assert "- `apart`: this platform cannot" in text
    assert "- `machines/web/server` (Server)\n  - `memoryMib: 64 → 65`" in text


def test_an_end_that_is_new_or_gone_is_marked_and_no_other_end_is() -> None:
    ways = (
        Crossing("web-1", "db", ("tcp/5432",), ("db-open",), opened=False, fresh_source=True),
        Crossing("outside", "web-2", ("tcp/80",), ("open",), opened=True, fresh_destination=True),
        Crossing("outside", "web-0", ("tcp/81",), ("open",), opened=True),
    )
    text = page(review(isolation=Isolation(ways)))
    assert "| web-1 (gone) | db | `tcp/5432` | `db-open` |" in text
    assert "| outside | web-0 | `tcp/81` | `open` |\n| outside | web-2 (new) | `tcp/80` | `open` |" in text
    first = page(review(isolation=Isolation(ways[1:], first=True)))
    assert "(new)" not in first
    assert "The first deployment: no way is open." in page(review(isolation=Isolation(first=True)))


SERVER, VOLUME = "provision-memory:compute:Server", "provision-memory:compute:Volume"


def sized(name: str, op: str, kind: str = SERVER, *, kept: bool = False, **sides: dict[str, Any]) -> ResourceStep:
    return replace(step(name, op, kind), kept=kept, **sides)


def machine_step(name: str, op: str) -> ResourceStep:
    return step(f"machines/{name}", op, "provision:index:Machine")


def test_sizes_that_change_are_told_for_machines_that_are_alike_together_and_added_up() -> None:
    small, large = {"cpus": 1, "memoryMib": 64}, {"cpus": 1, "memoryMib": 96}
    steps = [
        *(sized(f"machines/web-{i}/server", "update", before=small, after=large) for i in range(12)),
        sized("machines/db/server", "replace", before=small, after={"cpus": 4, "memoryMib": 64}),
        sized("machines/db/disk-data", "update", VOLUME, before={"sizeGib": 1}, after={"sizeGib": 3}),
        sized("machines/db/disk-log", "create", VOLUME, after={"sizeGib": 2}),
        machine_step("new", "create"),
        sized("machines/new/server", "create", after={"cpus": 2, "memoryMib": 1024}),
        machine_step("old", "delete"),
        sized("machines/old/server", "delete", before=small),
        sized("machines/old/disk-data", "delete", VOLUME, kept=True, before={"sizeGib": 50}),
        sized("machines/same/server", "update", before=small, after=small | {"power": "stopped"}),
        sized("machines/late/server", "create", after={"memoryMib": LATER}),
        step("machines/alien/server", "create", "provision-nowhere:compute:Server"),
        step("networks/front/network", "create"),
    ]
    made = review(*steps)
    text = page(replace(made, sizes=sizes(made.changes)))
    (section,) = re.findall(r"### Sizes\n\n(.*?)\n\n<details>", text, re.DOTALL)
    assert section.splitlines() == [
        "In all: +4 CPUs, +4GiB disks, +1344MiB memory.",
        "",
        "| machines | sizes |",
        "|---|---|",
        "| `db` | CPUs 1 → 4, disk data 1GiB → 3GiB, disk log 2GiB (new) |",
        "| `late` | memory (known later) (new) |",
        "| `new` (new) | CPUs 2, memory 1GiB |",
        "| `old` (gone) | CPUs 1, memory 64MiB |",
        "| `web-0`, `web-1`, `web-2`, `web-3`, `web-4` and 7 more | memory 64MiB → 96MiB |",
    ]
    assert "| No longer of the stack, and kept | 1 | 1 |" in text
    quiet = review(sized("machines/a/server", "replace", before=small, after=small))
    assert "### Sizes" not in page(replace(quiet, sizes=sizes(quiet.changes)))


@pytest.mark.parametrize(
    ("platform", "token", "inputs", "said"),
    [
        ("aws", "ec2:Instance", {"instanceType": "t3.small"}, [("size", None, "t3.small")]),
        (
            "openstack",
            "compute:Server",
            {"flavorId": "m1.tiny", "rootSizeGib": 8},
            [("boot disk", None, "8GiB"), ("size", None, "m1.tiny")],
        ),
        ("libvirt", "domain:Domain", {"vcpus": 2, "memoryMib": 96}, [("CPUs", None, "2"), ("memory", None, "96MiB")]),
    ],
)
def test_sizes_are_known_on_every_platform(
    platform: str, token: str, inputs: dict[str, Any], said: list[tuple[str, None, str]]
) -> None:
    made = review(sized("machines/web/main", "create", f"provision-{platform}:{token}", after=inputs))
    (row,) = sizes(made.changes).rows
    assert list(row.values) == said


def test_no_size_of_a_machine_is_read_from_a_secret() -> None:
    hidden = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:hush"}
    told = translate(
        {"resOutputsEvent": {"metadata": {
            "op": "create", "type": SERVER, "urn": f"urn:pulumi:dev::shop::{SERVER}::machines/web/server",
            "old": None, "new": {"inputs": {"memoryMib": 64, "userData": hidden, "image": UNKNOWN, "nics": [1]}},
        }}}
    )  # fmt: skip
    (made,) = told
    assert isinstance(made, ResourceStep)
    assert made.after == {"memoryMib": 64, "image": LATER}


def test_refused_policies_are_shown_as_they_were_told() -> None:
    told_ = "policy refused: 1 error in the stack file\nstack.yaml:3:1: error: no\n    3 | `x`"
    text = page(review(succeeded=False, messages=[Message("error", told_)]))
    assert "### Refused policies\n\n```\npolicy refused: 1 error" in text
    assert "**preview failed; nothing was changed.**" in text


def test_what_cannot_be_compared_is_said() -> None:
    assert "is not known: the state is odd." in page(review(isolation=Isolation(unknown="the state is odd")))


def test_a_thousand_machines_fit_into_a_comment_and_what_is_left_out_is_counted() -> None:
    steps = [step(f"machines/web-{i}/{part}", "create") for i in range(1000) for part in ("server", "disk-data", "nic")]
    lost = [step(f"machines/old-{i}/disk-data", "delete") for i in range(1000)]
    ways = tuple(Crossing(f"app-{i}", f"db-{i}", ("tcp/5432",), ("open",), opened=True) for i in range(1000))
    warnings = [Message("warning", f"warning {i} " + "x" * 9_000) for i in range(50)]
    for limit in (2_000, 20_000, 65_000, 1_000_000):
        text = page(review(*steps, *lost, isolation=Isolation(ways), messages=warnings), limit)
        assert len(text) <= limit
        assert text.startswith("<!-- provision preview shop/dev -->\n## Preview of")
        assert text.count("<details>") == text.count("</details>")
        assert text.count("```") % 2 == 0
    assert "… and 850 more" in text
    short = page(review(*steps), 65_000)
    assert len(short) <= 65_000
    shown = short.count("(Server)")
    assert f"{3000 - shown} resources more not shown here" in short


def test_text_of_any_origin_stays_text() -> None:
    assert escaped("a|b <img> @all #1 `x`\n*y*") == "a\\|b \\<img\\> \\@all \\#1 \\`x\\` \\*y\\*"
    assert code("a ` b | c") == "``a ` b \\| c``"
    assert code("`") == "`` ` ``"
    assert list(fenced("```\nx")) == ["````", "```", "x", "````"]
