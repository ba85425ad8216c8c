"""Where machines lie to each other: zones, and placement groups."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provision.models import PackPolicy, SpreadPolicy, Topology
from provision.spi import DeployedMachine, Shown
from provision.spi.evidence import accepted, instead
from provision_aws.evidence.look import Look, told
from provision_aws.kinds import PLACEMENT_GROUP

_GROUP = "ec2:PlacementGroup"


def apart(look: Look, policy: SpreadPolicy, members: Sequence[DeployedMachine]) -> Iterator[Shown]:
    """Whether EC2 keeps the machines of the policy apart."""
    placements = _placements(look, members)
    if policy.over is Topology.ZONE:
        zone = look.part("Placement").get("AvailabilityZone")
        count = Counter(one.get("AvailabilityZone") for one in placements.values())[zone]
        others = "alone there" if count == 1 else f"{count} of them there"
        yield accepted(count <= policy.max_per, f"in {told(zone)}, {others}" + _most(count, policy))
        yield look.unseen()
        return
    wanted = "spread" if policy.max_per == 1 else "partition"
    yield from _grouped(look, wanted, placements)
    if wanted == "partition":
        own = look.part("Placement").get("PartitionNumber")
        count = Counter(one.get("PartitionNumber") for one in placements.values())[own]
        holds = own is not None and count <= policy.max_per
        yield accepted(holds, f"partition {told(own)}, with {count} of the machines" + _most(count, policy))
    yield look.unseen()


def together(look: Look, policy: PackPolicy, members: Sequence[DeployedMachine]) -> Iterator[Shown]:
    """Whether EC2 keeps the machines of the policy close together."""
    placements = _placements(look, members)
    if policy.over is Topology.ZONE:
        zone = look.part("Placement").get("AvailabilityZone")
        away = [name for name, one in placements.items() if one.get("AvailabilityZone") != zone]
        yield accepted(
            not away, f"in {told(zone)}" + (f", {', '.join(away)} elsewhere" if away else " with all others")
        )
    else:
        yield from _grouped(look, "cluster", placements)
    yield look.unseen()


def _grouped(look: Look, strategy: str, placements: Mapping[str, Mapping[str, Any]]) -> Iterator[Shown]:
    """Whether all are in one placement group of a strategy."""
    name = str(look.part("Placement").get("GroupName") or "")
    if not name:
        yield accepted(False, f"in no placement group instead of one with the strategy {strategy}")
        return
    found = look.session.once(("placement group", name), lambda: _strategy(look, name))
    away = [machine for machine, one in placements.items() if one.get("GroupName") != name]
    said = f"in the placement group {name} with the strategy {told(found)}" + instead(found == strategy, strategy)
    yield accepted(found == strategy and not away, said + (f", {', '.join(away)} not" if away else ""))


def _strategy(look: Look, name: str) -> str:
    """The strategy that EC2 tells of a group; the state knows the group's id."""
    natives = [one for one in look.natives.values() if one.token == _GROUP and one.outputs.get("group_name") == name]
    if natives:
        live = look.session.reader.look(PLACEMENT_GROUP, natives[0].id)
    else:
        found = look.session.reader.all(PLACEMENT_GROUP, [{"Name": "group-name", "Values": [name]}])
        live = next((group for group in found if group.get("GroupName") == name), None)
    return str((live or {}).get("Strategy") or "")


def _placements(look: Look, members: Sequence[DeployedMachine]) -> Mapping[str, Mapping[str, Any]]:
    """Where each machine of a policy lies; one that is gone lies nowhere."""
    return {name: live.get("Placement") or {} for name, live in look.lives(members).items()}


def _most(count: int, policy: SpreadPolicy) -> str:
    return "" if count <= policy.max_per else f" instead of at most {policy.max_per}"
