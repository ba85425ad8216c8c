"""Groups for platforms whose rules only allow: who is in them, and what each lets pass by which policies."""

from provision.spi import NicAddress
from provision.spi.cloud.grouping import Group, Groups, memberships
from provision.spi.flows import End, Side


def end(machine: str, entry: str, index: int = 0) -> End:
    address = NicAddress(network="lan", mac="02:00:00:00:00:01", ipv4="10.0.0.1", ipv6=None)
    return End(machine=machine, entry=entry, index=index, address=address)


WEB, DB, OUTER = (("web-0", 0), ("web-1", 0)), (("db", 0), ("db", 1)), (("lb", 0),)
EVERYONE = [end("web-0", "web"), end("web-1", "web"), end("db", "db"), end("db", "db", 1), end("lb", "lb")]


def names(groups: list[Group[str]]) -> dict[str, list[tuple[str, int]]]:
    return {group.name: sorted(group.nics) for group in groups}


def test_what_a_person_named_is_one_group_whoever_asks_for_it() -> None:
    groups = Groups[str](EVERYONE)
    for name in ("label.tier=front", "machine.web", "network.lan"):
        (first,) = groups.of(Side(name, frozenset(WEB)))
        (again,) = groups.of(Side(name, frozenset(WEB)))
        assert first is again
    assert list(groups.made) == ["label.tier=front", "machine.web", "network.lan"]


def test_other_sides_are_taken_apart_into_entries_machines_and_interfaces() -> None:
    groups = Groups[str](EVERYONE)
    some = frozenset({*WEB, ("db", 1), ("lb", 0)})
    assert names(groups.of(Side("10.0.0.0/24", some))) == {
        "machine.web": sorted(WEB),
        "machine.lb": [("lb", 0)],
        "nic.db.1": [("db", 1)],
    }
    assert names(groups.of(Side("outside", frozenset({("web-1", 0)})))) == {"machine.web-1": [("web-1", 0)]}


def test_so_is_a_named_group_that_is_wanted_apart() -> None:
    groups = Groups[str](EVERYONE)
    side = Side("label.tier=front", frozenset({*WEB, *OUTER}))
    assert names(groups.of(side, {"label.tier=front"})) == {"machine.web": sorted(WEB), "machine.lb": [("lb", 0)]}


def test_a_side_without_machines_has_no_group() -> None:
    groups = Groups[str](EVERYONE)
    assert groups.of(Side("machine.none", frozenset())) == []
    assert groups.made == {}


def test_a_rule_stands_once_and_names_each_policy_once_and_the_default_not_at_all() -> None:
    group = Group[str]("machine.web", frozenset(WEB))
    for policy in ("", "in", "also", "in"):
        group.add("tcp/80", policy)
    group.add("udp/53", "")
    assert group.rules == {"tcp/80": ["in", "also"], "udp/53": []}


def test_an_interface_has_its_groups_in_their_order() -> None:
    groups = Groups[str](EVERYONE)
    groups.of(Side("network.lan", frozenset({*WEB, *DB})))
    groups.of(Side("machine.web", frozenset(WEB)))
    assert memberships(groups.made) == {
        **{key: ["network.lan", "machine.web"] for key in WEB},
        **{key: ["network.lan"] for key in DB},
    }
