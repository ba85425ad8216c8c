"""Looking at objects: calls grow with pages, not with objects, and nothing stale is believed."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from provision_openstack import kinds
from provision_openstack.errors import ApiError
from provision_openstack.reading import Reader


class Service:
    """A service with objects, of which it knows how often they were looked at."""

    def __init__(self, kind, objects):
        self.kind = kind
        self.objects = objects
        self.calls = []

    def get(self, path, query=None, *, version=""):
        self.calls.append(path)
        identity = path.rpartition("/")[2]
        if identity not in self.objects:
            raise ApiError(self.kind.service, "GET", path, 404, "gone")
        return {self.kind.one: self.objects[identity]}

    def pages(self, path, many, query=None, *, version=""):
        self.calls.append(f"{path}?")
        wanted = (query or {}).get("id")
        yield from [dict(live) for key, live in self.objects.items() if wanted is None or key in wanted]


class Session:
    project_id = "p"

    def __init__(self, service):
        self._service = service
        self.changed = set()

    def service(self, name):
        return self._service

    def is_touched(self, identity):
        return identity in self.changed


def made(kind, count=30):
    service = Service(kind, {f"id-{number}": {kind.id: f"id-{number}", "status": "ACTIVE"} for number in range(count)})
    session = Session(service)
    return Reader(session), service, session


def all_at_once(look, count=30):
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(look, [f"id-{number}" for number in range(count)]))


@pytest.mark.parametrize("count", [5, 60])
@pytest.mark.parametrize("kind", [kinds.NETWORK, kinds.SERVER], ids=lambda kind: kind.noun)
def test_the_calls_of_a_refresh_do_not_grow_with_its_objects(kind, count):
    reader, service, _ = made(kind, count)

    found = all_at_once(lambda identity: reader.look(kind, identity, "stack"), count)

    assert [live[kind.id] for live in found] == [f"id-{number}" for number in range(count)]
    assert len(service.calls) <= 3


def test_the_calls_of_a_refresh_are_few_also_when_it_asks_for_one_after_the_other():
    reader, service, _ = made(kinds.SERVER)

    for number in range(30):
        assert reader.look(kinds.SERVER, f"id-{number}", "stack") is not None

    assert len(service.calls) <= 3


@pytest.fixture
def together(monkeypatch):
    """Looks of thirty threads, of which the first waits for all others, however slowly they begin."""
    begun, everyone = itertools.count(1), threading.Event()
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: everyone.wait(60))
    monkeypatch.setattr("provision_openstack.reading.time", clock)

    def run(look):
        def one(identity):
            if next(begun) == 30:
                everyone.set()
            return look(identity)

        return all_at_once(one)

    return run


def test_neutron_is_asked_for_several_objects_by_their_ids(together):
    reader, service, _ = made(kinds.NETWORK)

    found = together(lambda identity: reader.look(kinds.NETWORK, identity))

    assert len(found) == 30
    assert len(service.calls) <= 15  # some have begun and not yet asked


def test_a_survey_answers_reads_for_a_while():
    reader, service, _ = made(kinds.SERVER)
    reader.survey(kinds.SERVER, "stack")
    before = len(service.calls)

    all_at_once(lambda identity: reader.look(kinds.SERVER, identity, "stack"))

    assert len(service.calls) == before


def test_a_survey_is_not_believed_of_what_this_process_has_changed():
    reader, service, session = made(kinds.SERVER)
    reader.survey(kinds.SERVER, "stack")
    service.objects["id-3"]["status"] = "SHUTOFF"
    session.changed.add("id-3")

    live = reader.look(kinds.SERVER, "id-3", "stack")

    assert live["status"] == "SHUTOFF"


def test_what_is_not_there_is_none_and_what_is_deleted_too():
    reader, service, _ = made(kinds.SERVER)
    service.objects["id-1"]["status"] = "DELETED"

    assert reader.look(kinds.SERVER, "nothing") is None
    assert reader.look(kinds.SERVER, "id-1") is None
    assert reader.remembered(kinds.SERVER, "id-1")["status"] == "DELETED"


def test_an_object_of_another_project_is_asked_for_by_itself():
    reader, service, _ = made(kinds.FLAVOR, 5)
    listed, everything = dict(list(service.objects.items())[:4]), dict(service.objects)
    service.pages = lambda *asked, **more: iter(listed.values())
    service.objects = everything

    found = all_at_once(lambda identity: reader.look(kinds.FLAVOR, identity), 5)

    assert found[4]["id"] == "id-4"


def test_those_who_wait_share_what_they_see(together):
    reader, service, _ = made(kinds.SERVER)

    def wait(identity):
        with reader.watching(kinds.SERVER, identity):
            return [reader.watch(kinds.SERVER, identity)["id"] for _ in range(2)]

    together(wait)

    assert len(service.calls) <= 30  # alone each would look twice


def test_a_failure_reaches_everybody_who_asked():
    reader, service, _ = made(kinds.NETWORK)

    def fail(*asked, **more):
        raise ApiError("network", "GET", "/networks", 503, "down")

    service.pages = service.get = fail

    def look(identity):
        with pytest.raises(Exception, match="down"):
            reader.look(kinds.NETWORK, identity)

    all_at_once(look, 5)
