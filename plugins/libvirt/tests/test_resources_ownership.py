from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from provision_libvirt.ownership import Owner, in_stack, is_marked, same_stack, stack_mark

owners = st.builds(Owner, st.text(min_size=1), st.text(min_size=1))


def test_a_marker_never_changes_from_release_to_release():
    owner = Owner("5f3a", "urn:pulumi:dev::shop::provision-libvirt:domain:Domain::machines/web-0/domain")

    assert owner.uuid() == "f457db9f-828e-82a4-ab91-6accab13c252"


@given(owners)
def test_a_derived_marker_is_the_same_each_time_and_recognised(owner):
    assert owner.uuid() == owner.uuid()
    assert UUID(owner.uuid()).version == 8
    assert UUID(owner.uuid()).variant == "specified in RFC 4122"
    assert owner.owns(owner.uuid())
    assert in_stack(owner.uuid(), owner.stack_id)


@given(owners)
def test_incarnations_differ_and_belong_to_the_same_urn(owner):
    (first, name), (second, _) = owner.incarnation(), owner.incarnation()

    assert first != second != owner.uuid()
    assert owner.owns(first)
    assert owner.owns(second)
    assert UUID(first).hex.endswith(name)
    assert len(name) == 12


@given(owners, st.text(min_size=1))
def test_another_urn_of_the_stack_is_told_apart_but_is_of_the_stack(owner, urn):
    other = Owner(owner.stack_id, urn)

    assert owner.owns(other.uuid()) == (urn == owner.urn)
    assert same_stack(owner.uuid(), other.uuid())
    assert in_stack(other.uuid(), owner.stack_id)


@given(owners, st.text(min_size=1))
def test_another_stack_owns_nothing_of_this_one(owner, stack_id):
    other = Owner(stack_id, owner.urn)
    same = stack_id == owner.stack_id

    assert owner.owns(other.uuid()) == same
    assert in_stack(other.uuid(), owner.stack_id) == same
    assert same_stack(owner.uuid(), other.uuid()) == same


@given(st.uuids(version=4), st.uuids(version=4))
def test_what_others_make_is_nobody_of_ours(one, other):
    assert not is_marked(str(one))
    assert not same_stack(str(one), str(one))
    assert not Owner("stack", "urn").owns(str(other))


def test_the_mark_of_a_stack_does_not_show_its_identity():
    assert "secret-id" not in stack_mark("secret-id")
    assert stack_mark("secret-id") != stack_mark("other-id")
