"""Attachments of volumes, of which Nova and Cinder know at different times: each is made once, and never refused."""

import re
from collections import deque

import pytest
from fake_cloud import FakeCloud, logged_in
from provision_openstack.ownership import METADATA_KEY, Owner
from provision_openstack.resources import VolumeAttachment, volume_attachment

from provision.errors import ForeignObject, PlatformError, RetriableError
from provision.spi import Cancelled, CreateRequest, DeleteRequest, Operation, ReadRequest

STACK, URN = "5eed", "urn:pulumi:dev::shop::compute:VolumeAttachment::data"
SERVER, OTHER, VOLUME = ("00000000-0000-0000-0000-00000000000" + digit for digit in "123")
SERVERS, VOLUMES = "/compute/v2.1/servers", "/block-storage/v3/volumes"
JOINED, LOOK = f"/{SERVER}/os-volume_attachments", f"GET {VOLUMES}/{VOLUME}"
MOST_TRIES, MOST_WAITS = 30, 1000


class Attaching(FakeCloud):
    """Nova and Cinder with a volume, as theirs are: what a host does is done after the answer.

    Cinder shows an attachment once it is there. Nova counts it from when it was asked for until all is done.

    Attributes:
        counted: the server to which Nova counts the volume; None for none.
        next: what becomes of the volume at the coming looks at it.
        failing: how the coming looks at the volume fail before they succeed, as `FakeCloud.lay` has answers.
        loses: whether Nova's next answer to who attaches is lost after the work.
        refuses: whether the host cannot attach.
    """

    def __init__(self):
        super().__init__()
        self.discoverable("compute", "2.1")
        self.discoverable("block-storage", "3")
        for server in (SERVER, OTHER):
            mark = {METADATA_KEY: Owner(STACK, "urn:server").mark}
            self.lay("GET", f"{SERVERS}/{server}", (200, {"server": {"id": server, "metadata": mark}}))
        self.counted = None
        self.status, self.shown, self.multiattach = "available", [], False
        self.next, self.failing = deque(), deque()
        self.loses = self.refuses = False

    def answer(self, method, path):
        joined = re.fullmatch(f"{SERVERS}/([^/]+)/os-volume_attachments(?:/{VOLUME})?", path)
        if joined is None and path != f"{VOLUMES}/{VOLUME}":
            return super().answer(method, path)
        self.asked[f"{method} {path}"] += 1
        if joined is None:
            return self._volume()
        return {"POST": self._attach, "DELETE": self._detach, "GET": self._of_nova}[method](joined[1])

    def _volume(self):
        if self.failing:
            return self.failing.popleft()
        if self.next:
            self.next.popleft()()
        shown = [{"server_id": one, "device": "/dev/vdb"} for one in self.shown]
        volume = {"id": VOLUME, "status": self.status, "attachments": shown, "multiattach": self.multiattach}
        return 200, {"volume": volume}

    def _attach(self, server):
        if self.counted is not None:
            text = f"Invalid volume: volume {VOLUME} is already attached to instances: {self.counted}"
            return 400, {"badRequest": {"code": 400, "message": text}}
        self.attach(server)
        if self.loses:
            self.loses = False
            return None
        return 200, {"volumeAttachment": {"volumeId": VOLUME, "serverId": server, "device": "/dev/vdb"}}

    def _detach(self, server):
        if self.counted != server:
            return 404, {"itemNotFound": {"code": 404, "message": "Instance is not attached to volume"}}
        if self.status != "in-use":
            text = f"Invalid volume: Volume {VOLUME} status must be in-use to detach, but the current is {self.status}"
            return 400, {"badRequest": {"code": 400, "message": text}}
        self.detach()
        return 202, None

    def _of_nova(self, server):
        if self.counted != server:
            return 404, {"itemNotFound": {"code": 404, "message": "Instance is not attached to volume"}}
        return 200, {"volumeAttachment": {"volumeId": VOLUME, "serverId": server, "device": "/dev/vdb"}}

    # --- what happens

    def attach(self, server):
        """A server is to have the volume; the host takes its time."""
        self.counted, self.status = server, "reserved"
        if self.refuses:
            self.next.extend([self.stay, self.released, self.stay, self.forgotten])
        else:
            self.next.extend([self.stay, self.attaching, self.stay, lambda: self.attached(server)])

    def attached(self, server):
        self.counted, self.status, self.shown = server, "in-use", [server]

    def detach(self):
        """The volume is to be let go of; the host takes its time."""
        self.status = "detaching"
        self.next.extend([self.stay, self.stay, self.released, self.stay, self.forgotten])

    def stay(self):
        pass

    def attaching(self):
        self.status = "attaching"

    def released(self):
        self.status, self.shown = "available", []

    def forgotten(self):
        self.counted = None


@pytest.fixture
def cloud(monkeypatch):
    monkeypatch.setattr(volume_attachment, "_GIVEN_UP_S", 0.05)
    with Attaching() as made:
        yield made


@pytest.fixture
def session(cloud, tmp_path, monkeypatch):
    with logged_in(cloud, tmp_path, monkeypatch) as made:
        yield made


def inputs():
    return VolumeAttachment.Inputs(stack_id=STACK, server_id=SERVER, volume_id=VOLUME)


def tried(call):
    """As the framework does: what passes by itself is tried again."""
    for _ in range(MOST_TRIES):
        try:
            return call()
        except RetriableError as error:
            last = error
    raise last


def waiting(session):
    """An operation that waits for a while, without any pause."""
    waits = iter(range(MOST_WAITS))
    return Operation(urn=URN, session=session, wait=lambda seconds: next(waits, None) is None)


def create(session):
    return tried(lambda: VolumeAttachment().create(CreateRequest(waiting(session), inputs())))


def delete(session):
    request = DeleteRequest(waiting(session), id=f"{SERVER}|{VOLUME}", inputs=inputs(), outputs=None)
    return tried(lambda: VolumeAttachment().delete(request))


def has_it(cloud, made):
    return made.id == f"{SERVER}|{VOLUME}" and (cloud.counted, cloud.shown) == (SERVER, [SERVER])


def test_an_attachment_costs_one_look_at_each_state_and_no_question_to_nova(cloud, session):
    assert has_it(cloud, create(session))
    assert cloud.asked[f"POST {SERVERS}{JOINED}"] == 1
    assert cloud.asked[LOOK] == 4
    assert cloud.asked[f"GET {SERVERS}{JOINED}/{VOLUME}"] == 0


@pytest.mark.parametrize("answer", [(503, None), (429, None, {"Retry-After": "0"}), None], ids=["503", "429", "lost"])
def test_one_that_is_on_its_way_when_a_look_at_it_fails_is_waited_for_and_not_made_again(cloud, session, answer):
    cloud.failing.append(answer)

    assert has_it(cloud, create(session))
    assert cloud.asked[f"POST {SERVERS}{JOINED}"] == 1


def test_one_whose_answer_was_lost_is_waited_for_and_not_made_again(cloud, session):
    cloud.loses = True

    assert has_it(cloud, create(session))
    assert cloud.asked[f"POST {SERVERS}{JOINED}"] == 1


def test_one_that_a_killed_process_asked_for_is_taken_up_while_cinder_does_not_show_it_yet(cloud, session):
    cloud.attach(SERVER)

    assert has_it(cloud, create(session))


@pytest.mark.parametrize("multiattach", [False, True])
def test_one_that_is_there_is_taken_up(cloud, session, multiattach):
    cloud.attached(SERVER)
    cloud.multiattach = multiattach

    assert has_it(cloud, create(session))


@pytest.mark.parametrize("server", [SERVER, OTHER], ids=["same", "other"])
@pytest.mark.parametrize("looks", [0, 2, 3])
def test_one_that_is_going_is_waited_for_and_made_anew(cloud, session, server, looks):
    cloud.attached(server)
    cloud.detach()
    for _ in range(looks):  # Cinder has released the volume after the third, and Nova counts it still
        cloud.next.popleft()()

    assert has_it(cloud, create(session))


def test_one_that_is_made_at_once_after_it_was_removed_is_made(cloud, session):
    create(session)
    delete(session)

    assert has_it(cloud, create(session))


@pytest.mark.parametrize("begin", ["attach", "attached"])
def test_a_volume_that_another_server_has_or_is_about_to_have_is_not_taken_from_it(cloud, session, begin):
    getattr(cloud, begin)(OTHER)

    with pytest.raises(ForeignObject, match=f"to the server {OTHER}"):
        create(session)
    assert cloud.counted == OTHER


def test_an_attachment_that_the_host_gives_up_is_a_failure_that_says_where_to_look(cloud, session):
    cloud.refuses = True

    with pytest.raises(PlatformError, match="could not be attached") as caught:
        create(session)
    assert f"openstack server event list {SERVER}" in caught.value.fix
    assert not isinstance(caught.value, RetriableError)
    assert cloud.asked[f"POST {SERVERS}{JOINED}"] == 1


@pytest.mark.parametrize("work", [VolumeAttachment().create, VolumeAttachment().delete], ids=["create", "delete"])
def test_a_cancelled_run_changes_nothing_after_its_look(cloud, session, work):
    cloud.attached(SERVER if work.__name__ == "delete" else OTHER)
    operation = Operation(urn=URN, session=session, cancelled=lambda: True)
    request = DeleteRequest(operation, id=f"{SERVER}|{VOLUME}", inputs=inputs(), outputs=None)

    with pytest.raises(Cancelled):
        work(request if work.__name__ == "delete" else CreateRequest(operation, inputs()))
    assert not [call for call in cloud.asked if call.startswith(("POST /compute", "DELETE"))]


def test_one_that_cinder_does_not_show_because_its_server_was_shelved_is_there(cloud, session):
    cloud.counted, cloud.status = SERVER, "reserved"
    cloud.lay("GET", f"{VOLUMES}/detail", (200, {"volumes": [{"id": VOLUME, "status": "reserved", "attachments": []}]}))

    seen = VolumeAttachment().read(
        ReadRequest(Operation(urn=URN, session=session), id=f"{SERVER}|{VOLUME}", inputs=inputs(), outputs=None)
    )

    assert seen is not None
    assert seen.outputs.device == "/dev/vdb"


def test_one_that_is_only_coming_is_removed_when_it_is_there(cloud, session):
    cloud.attach(SERVER)

    delete(session)

    assert (cloud.status, cloud.shown) == ("available", [])
