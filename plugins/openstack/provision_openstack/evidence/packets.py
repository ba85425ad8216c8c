"""Packet rules of a machine: its ports have the groups made for them, and these hold the rules of the state."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provision.models import AntiSpoofingPolicy, MetadataPolicy, Policy
from provision.spi import Shown
from provision.spi.cloud.looking import in_groups, in_rules
from provision.spi.evidence import accepted, number
from provision.spi.properties import network_value
from provision_openstack.evidence.look import Look
from provision_openstack.reading import Live

_RULE = "network:SecurityGroupRule"
_FIELDS = (
    "direction",
    "ethertype",
    "protocol",
    "port_range_min",
    "port_range_max",
    "remote_ip_prefix",
    "remote_group_id",
    "remote_address_group_id",
)


def filtered(look: Look, policy: Policy) -> Iterator[Shown]:
    """Whether Neutron holds the groups and rules that the state records, on every port; all policies share them.

    What comes of all of it together is read for all machines at once (`provision_openstack.readers`).
    """
    wrong, seen = [f"it has the further port {one}" for one in look.further], set[str]()
    for position, (identity, live) in enumerate(look.ports):
        if live is None:
            wrong.append(f"port {position} is gone")
            continue
        native = look.natives.get(identity)
        wanted = set(native.inputs.get("security_group_ids") or ()) if native is not None else set[str]()
        groups = {str(group) for group in live.get("security_groups") or ()}
        if live.get("port_security_enabled") is False:
            wrong.append(f"port {position} has no port security, and so no filter")
        wrong += in_groups(f"port {position}", groups, wanted)
        seen |= groups & wanted
    rules = look.rules(sorted(seen))
    for group in sorted(seen):
        wrong += _differences(look, group, rules.get(group, []))
    count = sum(len(rules.get(group, ())) for group in seen)
    text = f"{number(len(look.ports), 'port')} in {number(len(seen), 'security group')} with {number(count, 'rule')}"
    yield accepted(not wrong, "; ".join(dict.fromkeys(wrong)) or f"{text} as written")
    yield look.unseen()


def unspoofed(look: Look, policy: AntiSpoofingPolicy) -> Iterator[Shown]:
    """Whether Neutron holds every port to its own addresses."""
    wrong = []
    for position, (_, live) in enumerate(look.ports):
        if live is None:
            wrong.append(f"port {position} is gone")
        elif live.get("port_security_enabled") is False:
            wrong.append(f"port {position} may send with any address: it has no port security")
        elif pairs := live.get("allowed_address_pairs") or ():
            wrong.append(f"port {position} may also use {', '.join(str(one['ip_address']) for one in pairs)}")
    wrong += [f"it has the further port {one}" for one in look.further]
    yield accepted(not wrong, "; ".join(wrong) or "port security on every port")
    yield look.unseen()


def metadata(look: Look, policy: MetadataPolicy) -> Iterator[Shown]:
    """Whether it is told by a config drive, so that it needs no metadata service, to which no rule leads."""
    drive = bool(look.live.get("config_drive"))
    yield accepted(drive, "it has a config drive" if drive else "it has no config drive: the service alone tells it")
    yield from filtered(look, policy)


def _differences(look: Look, group: str, rules: Sequence[Live]) -> Iterator[str]:
    recorded = [
        one for one in look.natives.values() if one.token == _RULE and one.inputs.get("security_group_id") == group
    ]
    return in_rules(group, recorded, {str(rule["id"]): rule for rule in rules}, _changed)


def _changed(wanted: Mapping[str, Any], live: Live) -> Iterator[str]:
    for name in _FIELDS:
        one, other = wanted.get(name), live.get(name)
        if name == "remote_ip_prefix":
            one, other = network_value(one), network_value(other)
        if one != other:
            yield name
