"""Where machines lie to each other: Nova tells a digest of each host, which is the same for neighbours."""

from collections import Counter
from collections.abc import Iterator, Sequence

from provision.models import PackPolicy, SpreadPolicy
from provision.spi import DeployedMachine, Shown
from provision.spi.evidence import accepted, number
from provision_openstack.evidence.look import Look
from provision_openstack.kinds import SERVER_GROUP
from provision_openstack.reading import Live


def apart(look: Look, policy: SpreadPolicy, members: Sequence[DeployedMachine]) -> Iterator[Shown]:
    """Whether Nova keeps the machines of the policy apart, and they are."""
    group = _group(look)
    words = ("anti-affinity", "soft-anti-affinity")
    hard = policy.level == "required"
    yield _grouped(group, words[:1] if hard else words, members)
    if group is not None and group.get("policy") == "anti-affinity":
        most = int((group.get("rules") or {}).get("max_server_per_host") or 1)
        yield accepted(most <= policy.max_per, f"at most {most} of its group on a host")
    hosts = _hosts(look, members)
    own = hosts[look.machine.name]
    if not own:
        yield accepted(None, "it is on no host now")
    else:
        count = Counter(hosts.values())[own]
        text = f"on host {own[:8]}, with {number(count - 1, 'other machine')} of the policy"
        yield accepted(count <= policy.max_per, text)
    yield look.unseen()


def together(look: Look, policy: PackPolicy, members: Sequence[DeployedMachine]) -> Iterator[Shown]:
    """Whether Nova keeps the machines of the policy on one host, and they are there."""
    words = ("affinity", "soft-affinity")
    yield _grouped(_group(look), words[:1] if policy.level == "required" else words, members)
    hosts = _hosts(look, members)
    own = hosts[look.machine.name]
    if not own:
        yield accepted(None, "it is on no host now")
    else:
        away = sorted(name for name, host in hosts.items() if host and host != own)
        text = f"on host {own[:8]}" + (f", {', '.join(away)} elsewhere" if away else " with all others")
        yield accepted(not away, text)
    yield look.unseen()


def _group(look: Look) -> Live | None:
    """The server group that it is in now."""
    for group in look.session.reader.survey(SERVER_GROUP).values():
        if look.native.id in (group.get("members") or ()):
            return group
    return None


def _grouped(group: Live | None, policies: tuple[str, ...], members: Sequence[DeployedMachine]) -> Shown:
    if group is None:
        return accepted(False, f"in no server group instead of one with {policies[0]}")
    inside = set(map(str, group.get("members") or ()))
    away = [one.name for one in members if (native := one.native(Look.token)) is None or native.id not in inside]
    found = str(group.get("policy") or next(iter(group.get("policies") or ()), ""))
    said = f"in the server group {group['name']} with {found}"
    said += "" if found in policies else f" instead of {policies[0]}"
    return accepted(found in policies and not away, said + (f", {', '.join(away)} not" if away else ""))


def _hosts(look: Look, members: Sequence[DeployedMachine]) -> dict[str, str]:
    """By machine, Nova's digest of its host; empty where it is on none."""
    return {name: str(live.get("hostId") or "") for name, live in look.lives(members).items()}
