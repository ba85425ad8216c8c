"""What joins two objects of EC2, of which its parts know at different times: it is made once, and never refused."""

from collections import Counter, deque

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from provision_aws import emulator
from provision_aws.config import AwsConfig
from provision_aws.ownership import STACK_TAG
from provision_aws.reading import Reader
from provision_aws.resources import ElasticIpAssociation, VolumeAttachment
from provision_aws.session import Session

from provision.errors import ForeignObject, RetriableError
from provision.spi import CreateRequest, Operation

STACK = "5eed"
VOLUME, MACHINE, OTHER = "vol-1", "i-1", "i-2"
ADDRESS, CARD = "eipalloc-1", "eni-1"
MOST_TRIES = 20
TAGS = [{"Key": STACK_TAG, "Value": STACK}]


def refusal(code, text):
    metadata = {"HTTPStatusCode": 400}
    return ClientError({"Error": {"Code": code, "Message": text}, "ResponseMetadata": metadata}, "Attach")


class Ec2:
    """A volume and an address. Descriptions may be behind what EC2 has done by some calls.

    Attributes:
        asked: how often each call was made.
        attachment: the volume's; None for none.
        holder: who has the address; None for nobody.
        behind: how many descriptions to come still show what was there before.
        next: states of the attachment at the coming descriptions; "" when it is gone.
        loses: whether the next answer of a call that joins is lost after the work.
        card_taken: whether the interface has another address.
    """

    def __init__(self):
        self.asked = Counter()
        self.attachment = self.holder = None
        self.behind = 0
        self.next = deque()
        self.loses = self.card_taken = False

    def close(self):
        pass

    def describe_volumes(self, **asked):
        self.asked["describe"] += 1
        if self.next:
            state = self.next.popleft()
            self.attachment = {**self.attachment, "State": state} if state else None
        attachments = [self.attachment] if self.attachment is not None and not self._is_behind() else []
        return {"Volumes": [{"VolumeId": VOLUME, "State": "in-use", "Tags": TAGS, "Attachments": attachments}]}

    def describe_addresses(self, **asked):
        self.asked["describe"] += 1
        shown = {"AllocationId": ADDRESS, "PublicIp": "198.51.100.7", "Tags": TAGS}
        if self.holder is not None and not self._is_behind():
            shown |= {"AssociationId": "eipassoc-1", "NetworkInterfaceId": self.holder}
        return {"Addresses": [shown]}

    def attach_volume(self, **asked):
        self.asked["join"] += 1
        if self.attachment is not None:
            raise refusal("VolumeInUse", f"{VOLUME} is already attached to an instance")
        self.attach(asked["InstanceId"])
        return self._answered()

    def associate_address(self, **asked):
        self.asked["join"] += 1
        if self.card_taken:
            raise refusal("Resource.AlreadyAssociated", f"resource {CARD} is already associated with another address")
        if self.holder is not None:
            raise refusal("Resource.AlreadyAssociated", f"resource {ADDRESS} is already associated with eipassoc-1")
        self.holder = asked["NetworkInterfaceId"]
        return self._answered()

    def attach(self, machine, state="attaching"):
        self.attachment = {"InstanceId": machine, "Device": "/dev/sdf", "State": state}
        if state == "attaching":
            self.next.extend(["attaching", "attached"])

    def _answered(self):
        if self.loses:
            self.loses = False
            raise ReadTimeoutError(endpoint_url="https://ec2")
        return {}

    def _is_behind(self):
        self.behind -= 1
        return self.behind >= 0


@pytest.fixture
def ec2():
    return Ec2()


@pytest.fixture
def session(ec2, monkeypatch):
    for name, value in emulator.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Session, "_identified", lambda self: "123456789012")
    monkeypatch.setattr(Reader, "fresh_seconds", 0.0)  # nobody here waits long enough to look again
    made = Session(AwsConfig(region=emulator.REGION))
    made.stand_between(lambda client: ec2)
    yield made
    made.close()


def create(session, kind, **inputs):
    """As the framework does: what passes by itself is tried again."""
    waits = iter(range(MOST_TRIES))
    operation = Operation(urn="urn", session=session, wait=lambda seconds: next(waits, None) is None)
    request = CreateRequest(operation, kind.Inputs.model_validate({"stack_id": STACK, **inputs}))
    for _ in range(MOST_TRIES):
        try:
            return kind().create(request)
        except RetriableError as error:
            last = error
    raise last


def attached(session):
    made = create(session, VolumeAttachment, volume_id=VOLUME, instance_id=MACHINE, device_name="/dev/sdf")
    return made.id == f"{VOLUME}|{MACHINE}" and made.outputs.state == "attached"


def associated(session):
    made = create(session, ElasticIpAssociation, allocation_id=ADDRESS, network_interface_id=CARD)
    return made.id == f"{ADDRESS}|eipassoc-1"


@pytest.mark.parametrize("behind", [0, 1, 4])
@pytest.mark.parametrize("join", [attached, associated])
def test_what_was_joined_by_a_call_whose_answer_was_lost_is_taken_up_when_it_is_shown(ec2, session, join, behind):
    ec2.loses, ec2.behind = True, behind

    assert join(session)


@pytest.mark.parametrize("behind", [0, 3])
def test_an_attachment_that_a_killed_process_asked_for_is_taken_up(ec2, session, behind):
    ec2.attach(MACHINE)
    ec2.behind = behind

    assert attached(session)


@pytest.mark.parametrize("behind", [0, 3])
def test_an_address_that_a_killed_process_gave_to_the_interface_is_taken_up(ec2, session, behind):
    ec2.holder, ec2.behind = CARD, behind

    assert associated(session)


@pytest.mark.parametrize("machine", [MACHINE, OTHER], ids=["same", "other"])
@pytest.mark.parametrize("state", ["detaching", "busy"])
def test_an_attachment_that_is_going_is_waited_for_and_made_anew(ec2, session, machine, state):
    ec2.attach(machine, state)
    ec2.next.extend([state, state, state, ""])

    assert attached(session)


@pytest.mark.parametrize("behind", [0, 3])
def test_a_volume_that_another_machine_has_is_not_taken_from_it(ec2, session, behind):
    ec2.attach(OTHER, "attached")
    ec2.behind = behind

    with pytest.raises(ForeignObject, match=OTHER):
        attached(session)
    assert ec2.attachment["InstanceId"] == OTHER


def test_an_interface_that_has_another_address_keeps_it(ec2, session):
    ec2.card_taken = True

    with pytest.raises(ForeignObject, match=CARD):
        associated(session)
    assert ec2.asked["join"] == 1
