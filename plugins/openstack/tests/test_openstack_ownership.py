"""Marks say whose an object is, wherever a service has room for them."""

import pytest
from provision_openstack.labels import Description
from provision_openstack.ownership import (
    METADATA_KEY,
    PROPERTY_KEY,
    Owner,
    incarnation_of,
    made_by,
    plain_metadata,
    plain_name,
    plain_text,
    stack_of,
)
from pydantic import TypeAdapter, ValidationError

OWNER = Owner("5eed", "urn:pulumi:dev::shop::network:Port::web")
OTHERS = [Owner("other", OWNER.urn), Owner(OWNER.stack_id, "urn:another")]


def live(place, owner):
    return {
        "description": {"description": owner.described("in front")},
        "metadata": {"metadata": {"role": "web", METADATA_KEY: owner.mark}},
        "properties": {PROPERTY_KEY: owner.mark},
        "name": {"name": owner.named("web")},
    }[place]


@pytest.mark.parametrize("place", ["description", "metadata", "name", "properties"])
def test_a_mark_is_known_again_and_no_other(place):
    assert OWNER.made(place, live(place, OWNER))
    assert made_by(place, live(place, OWNER), OWNER.stack_id)
    for other in OTHERS:
        assert not OWNER.made(place, live(place, other))
    assert not made_by(place, live(place, OTHERS[0]), OWNER.stack_id)
    assert not OWNER.made(place, {"description": "in front", "metadata": {}, "name": "web"})


@pytest.mark.parametrize("place", ["description", "metadata", "properties"])
def test_the_stack_can_be_read_from_a_mark(place):
    assert stack_of(place, live(place, OWNER)) == "5eed"
    assert stack_of(place, {}) == ""


def test_an_incarnation_tells_objects_of_one_resource_apart():
    first, second = (Owner(OWNER.stack_id, OWNER.urn, digits) for digits in ("aaaa", "bbbb"))
    made = live("description", first)
    assert first.made("description", made)
    assert OWNER.made("description", made)
    assert not second.made("description", made)
    assert incarnation_of("description", made) == "aaaa"


@pytest.mark.parametrize("text", ["", "in front", "with [brackets]"])
def test_people_do_not_see_marks_in_what_they_wrote(text):
    assert plain_text(OWNER.described(text)) == text


def test_people_do_not_see_marks_in_names_and_metadata():
    assert plain_name(OWNER.named("web-0")) == "web-0"
    assert plain_name("web-0") == "web-0"
    assert plain_metadata({METADATA_KEY: OWNER.mark, "role": "web"}) == {"role": "web"}


def test_a_forged_mark_is_refused():
    with pytest.raises(ValidationError, match="mark of an owner"):
        TypeAdapter(Description).validate_python(OWNER.described("mine"))
