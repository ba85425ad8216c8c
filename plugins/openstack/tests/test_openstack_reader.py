"""Looking at objects: how the services are asked, and that calls grow with pages, not with objects."""

from concurrent.futures import ThreadPoolExecutor

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


def test_neutron_is_asked_for_several_objects_by_their_ids_and_others_are_listed():
    for kind, path in ((kinds.NETWORK, "/networks?"), (kinds.SERVER, "/servers/detail?")):
        reader, service, _ = made(kind)

        found = reader.shown(kind, [f"id-{number}" for number in range(10)])

        assert set(found) >= {f"id-{number}" for number in range(10)}
        assert service.calls == [path]


def test_one_object_is_asked_for_by_itself():
    reader, service, _ = made(kinds.SERVER)

    assert set(reader.shown(kinds.SERVER, ["id-1", "nothing"])) == {"id-1"}
    assert service.calls == ["/servers/id-1", "/servers/nothing"]


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
