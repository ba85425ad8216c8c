"""New ground: what this process made where there was nothing, so that no interrupted run can have left anything in it.

A VPC is new ground when, just before it was made, EC2 knew neither a VPC of the stack nor a tag of it on anything that
this process had not made itself. What lies in new ground is new ground too. Two looks answer for all kinds of objects
that lie in VPCs, where each kind would need one of its own.
"""

from collections.abc import Iterable

from provision_aws.errors import explained
from provision_aws.kinds import VPC
from provision_aws.ownership import STACK_TAG
from provision_aws.session import Session

_PAGE = 1000


def is_bare(session: Session, stack_id: str) -> bool:
    """Whether EC2 knows nothing of a stack but what this process made.

    Raises:
        provision.errors.PlatformError: EC2 does not answer.
    """
    if not stack_id or any(not session.is_touched(one) for one in session.reader.survey(VPC, stack_id)):
        return False
    filters = [{"Name": "key", "Values": [STACK_TAG]}, {"Name": "value", "Values": [stack_id]}]
    with explained("looking for tags of the stack"):
        answer = session.client().describe_tags(Filters=filters, MaxResults=_PAGE)
    listed = [str(one.get("ResourceId", "")) for one in answer.get("Tags") or ()]
    return not answer.get("NextToken") and all(map(session.is_touched, listed))


def add(session: Session, identity: str) -> None:
    """This object is new ground."""
    session.cache["new ground", identity] = True


def is_new(session: Session, ids: Iterable[str]) -> bool:
    """Whether one of the objects is new ground."""
    return any(("new ground", one) in session.cache for one in ids)
