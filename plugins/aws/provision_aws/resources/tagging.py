"""Tags: the markers of the owner, the name, the user's labels and those that everything gets."""

from collections.abc import Sequence
from typing import Any

from provision_aws.ownership import NAME_TAG, STACK_TAG, Owner, is_marker, tags_of
from provision_aws.reading import Live
from provision_aws.resources.native_model import TaggedInputs
from provision_aws.session import Session


def specifications(session: Session, inputs: TaggedInputs, owner: Owner, types: Sequence[str]) -> list[dict[str, Any]]:
    """What the call that makes an object writes onto it and onto what it makes with it."""
    tags = _listed(_wanted(session, inputs, owner))
    return [{"ResourceType": kind, "Tags": tags} for kind in types]


def retag(session: Session, identity: str, live: Live, inputs: TaggedInputs, owner: Owner) -> bool:
    """Bring the tags of an object in line; whether anything was changed. Tags of Amazon's own stay.

    An object that was imported gets the markers of its stack now. The URN of one that was renamed follows.

    Raises:
        botocore.exceptions.ClientError: EC2 refuses.
    """
    wanted, now = _wanted(session, inputs, owner), tags_of(live)
    more = {key: value for key, value in wanted.items() if now.get(key) != value}
    fewer = [key for key in now if key not in wanted and not key.startswith("aws:")]
    if more:
        session.client().create_tags(Resources=[identity], Tags=_listed(more))
    if fewer:
        session.client().delete_tags(Resources=[identity], Tags=[{"Key": key} for key in fewer])
    return bool(more or fewer)


def user_tags(session: Session, live: Live, recorded: TaggedInputs | None) -> dict[str, str]:
    """The tags of an object that are the user's own."""
    everywhere = session.config.default_tags
    mine = recorded.tags if recorded is not None else {}
    return {
        key: value
        for key, value in tags_of(live).items()
        if not is_marker(key) and (key in mine or everywhere.get(key) != value)
    }


def _wanted(session: Session, inputs: TaggedInputs, owner: Owner) -> dict[str, str]:
    wanted = {**session.config.default_tags, **inputs.tags, **owner.tags()}
    if inputs.name:
        wanted[NAME_TAG] = inputs.name
    if not wanted[STACK_TAG]:  # imported, and no stack has claimed it
        return {key: value for key, value in wanted.items() if key == NAME_TAG or not is_marker(key)}
    return wanted


def _listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
