"""Images of EC2: found by an SSM parameter, or by owner and name."""

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
    found: str = session.once(("image", search.model_dump_json()), lambda: _found(session, search))
    return found


def root_device(session: Session, image_id: str) -> str:
    """Name of the device that an image boots from.

    Raises:
        UserError: there is no such image.
    """

    def ask() -> str:
        with explained(f"looking at the image {image_id}"):
            images = session.client().describe_images(ImageIds=[image_id])["Images"]
        if not images:
            raise UserError(f"there is no image {image_id} in {session.region}", "ids of images differ by region")
        return str(images[0].get("RootDeviceName") or "/dev/xvda")

    found: str = session.once(("root device", image_id), ask)
    return found


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
