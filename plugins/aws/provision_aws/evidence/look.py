"""One machine as EC2 describes it now, and as the state records it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from provision.spi.cloud.looking import MachineLook
from provision_aws.kinds import INSTANCE, MOST_IN_A_FILTER, RULES_OF_GROUP, VOLUME, Kind
from provision_aws.reading import Live
from provision_aws.session import Session


class Look(MachineLook[Session]):
    """One machine as it is now."""

    token: ClassVar[str] = "ec2:Instance"
    group: ClassVar[str] = "ec2:SecurityGroup"
    kind: ClassVar[Kind] = INSTANCE
    why_unseen: ClassVar[str] = "Amazon shows nobody the hosts of its machines"

    def part(self, name: str) -> Mapping[str, Any]:
        """A structure of its description; empty when EC2 does not tell it."""
        return self.live.get(name) or {}

    @cached_property
    def volumes(self) -> Sequence[tuple[str, Live | None]]:
        """Its disks in order: device and volume."""
        mappings = [one for one in self.live.get("BlockDeviceMappings") or () if one.get("Ebs")]
        return [(str(one["DeviceName"]), self.of(VOLUME, str(one["Ebs"]["VolumeId"]))) for one in mappings]

    @cached_property
    def cards(self) -> Sequence[Live]:
        """Its network interfaces in order."""
        return sorted(self.live.get("NetworkInterfaces") or (), key=lambda nic: int(nic["Attachment"]["DeviceIndex"]))

    def asked(self, groups: Sequence[str]) -> Iterator[tuple[str, Live]]:
        """As many groups at once as a filter takes."""
        for start in range(0, len(groups), MOST_IN_A_FILTER):
            part = list(groups[start : start + MOST_IN_A_FILTER])
            for rule in self.session.reader.all(RULES_OF_GROUP, [{"Name": "group-id", "Values": part}]):
                yield str(rule["GroupId"]), rule


def told(value: object) -> str:
    """A value of a description in words."""
    return "nothing that EC2 tells" if value in (None, "") else str(value)
