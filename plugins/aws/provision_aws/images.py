"""Images of EC2: found by an SSM parameter, or by owner and name."""

from collections.abc import Mapping
from typing import Any

from provision.errors import UserError
from provision_aws.errors import explained
from provision_aws.session import Session
from provision_aws.wanted import ImageSearch


def find(session: Session, search: ImageSearch) -> str:
    """Id of the image; of several with the name the newest.

    Raises:
        UserError: there is none.
    """
    if search.image_id is not None:
        return search.image_id
    found: str = session.once(("image", search.model_dump_json()), lambda: _found(session, search))
    return found


def root_device(session: Session, image_id: str) -> str:
    """Name of the device that an image boots from.

    Raises:
        UserError: there is no such image.
    """
    return str(_described(session, image_id).get("RootDeviceName") or "/dev/xvda")


def snapshot(session: Session, search: ImageSearch, size_gib: int) -> str:
    """Id of the snapshot that the root disk of an image starts from.

    Args:
        session: to ask with.
        search: how the image is found.
        size_gib: of the disk that is to start from it.

    Raises:
        UserError: there is no such image, it has no snapshot, or that is larger than the disk.
    """
    identity = find(session, search)
    told = root_snapshot(_described(session, identity))
    if told is None:
        raise UserError(f"the image {identity} has no snapshot", "take one whose root disk is of EBS")
    found, least = told
    if size_gib < least:
        raise UserError(
            f"the snapshot of the image {identity} has {least} GiB, and the disk {size_gib}",
            f"write 'size: {least}GiB'",
        )
    return found


def root_snapshot(image: Mapping[str, Any]) -> tuple[str, int] | None:
    """Id and size in GiB of the snapshot of an image's root disk, as EC2 describes it; None when it has none."""
    for mapping in image.get("BlockDeviceMappings") or ():
        disk = mapping.get("Ebs") or {}
        if mapping.get("DeviceName") == image.get("RootDeviceName") and disk.get("SnapshotId"):
            return str(disk["SnapshotId"]), int(disk.get("VolumeSize") or 1)
    return None


def _described(session: Session, image_id: str) -> Mapping[str, Any]:
    def ask() -> Mapping[str, Any]:
        with explained(f"looking at the image {image_id}"):
            images = session.client().describe_images(ImageIds=[image_id])["Images"]
        if not images:
            raise UserError(f"there is no image {image_id} in {session.region}", "ids of images differ by region")
        found: Mapping[str, Any] = images[0]
        return found

    described: Mapping[str, Any] = session.once(("image as described", image_id), ask)
    return described


def _found(session: Session, search: ImageSearch) -> str:
    if search.ssm_parameter is not None:
        return _parameter(session, search.ssm_parameter)
    asked: dict[str, Any] = {
        "Owners": [search.owner],
        "Filters": [
            {"Name": "name", "Values": [search.image_name]},
            {"Name": "architecture", "Values": [search.architecture]},
            {"Name": "state", "Values": ["available"]},
        ],
    }
    with explained(f"looking for the image '{search.image_name}'"):
        images = session.client().describe_images(**asked)["Images"]
    if not images:
        raise UserError(
            f"'{search.owner}' has no image '{search.image_name}' for {search.architecture} in {session.region}",
            "look with: aws ec2 describe-images --owners OWNER --filters Name=name,Values=NAME",
        )
    newest = max(images, key=lambda one: (str(one.get("CreationDate", "")), str(one["ImageId"])))
    return str(newest["ImageId"])


def _parameter(session: Session, name: str) -> str:
    from botocore.exceptions import ClientError

    from provision_aws.errors import code_of

    with explained(f"reading the parameter {name}"):
        try:
            answer = session.client("ssm").get_parameter(Name=name)
        except ClientError as error:
            if code_of(error) != "ParameterNotFound":
                raise
            raise UserError(
                f"there is no SSM parameter '{name}' in {session.region}",
                "look with: aws ssm get-parameter --name NAME",
            ) from None
    value = str(answer["Parameter"]["Value"])
    if not value.startswith("ami-"):
        raise UserError(f"the SSM parameter '{name}' holds no id of an image", "name one that holds ami-…")
    return value
