"""The resource-plugin host over a real channel, without the engine: checks, diffs, previews, failures."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import empty_pb2

from provision.host.protocol import provider_pb2
from provision.host.values import UNKNOWN, OutputValue, SecretValue, contains_secret, encode_struct
from provision.testing import CheckRefused, Lifecycle, MemoryProvider, OperationFailed
from provision.testing.store import Fault

SERVER, VOLUME, GROUP, NETWORK = "compute:Server", "compute:Volume", "compute:Group", "network:Network"
WEB = {"stackId": "s1", "name": "web", "image": "micro", "password": "hunter22", "userData": "top-secret-script"}


def run(work: Callable[[Lifecycle], Awaitable[None]], **config: Any) -> None:
    async def go() -> None:
        async with Lifecycle(MemoryProvider, config) as platform:
            platform.store = platform.servicer._session.store  # type: ignore[attr-defined]
            await asyncio.wait_for(work(platform), 30)

    asyncio.run(go())


@pytest.fixture(autouse=True)
def _fresh_store(monkeypatch: pytest.MonkeyPatch) -> None:
    from provision.testing import memory

    memory._store.cache_clear()


def test_checked_inputs_have_defaults_and_secrets_wrapped() -> None:
    async def work(platform: Any) -> None:
        checked = await platform.check(SERVER, WEB)
        assert checked["cpus"] == 1
        assert type(checked["cpus"]) is int
        assert checked["password"] == SecretValue("hunter22")
        assert checked["userData"] == SecretValue("top-secret-script")
        assert "address" not in checked

    run(work)


def test_what_a_program_calls_secret_stays_secret_also_in_outputs() -> None:
    async def work(platform: Any) -> None:
        checked = await platform.check(
            SERVER, {**WEB, "nics": [{"network": "n", "address": SecretValue("10.0.0.1")}], "name": SecretValue("web")}
        )
        assert checked["nics"][0]["address"] == SecretValue("10.0.0.1")
        made = await platform.create(SERVER, checked)
        assert made.outputs["nics"][0]["address"] == SecretValue("10.0.0.1")
        assert made.outputs["name"] == SecretValue("web")
        read = await platform.read(SERVER, made)
        assert read.inputs["name"] == SecretValue("web")

    run(work)


def test_outputs_of_other_resources_are_checked_by_their_value() -> None:
    async def work(platform: Any) -> None:
        checked = await platform.check(
            SERVER, {**WEB, "cpus": OutputValue(2, True, ("urn:x",)), "memoryMib": OutputValue(UNKNOWN)}
        )
        assert checked["cpus"] == SecretValue(2)
        assert checked["memoryMib"] is UNKNOWN

    run(work)


def test_what_is_known_is_validated_although_the_rest_is_not() -> None:
    async def work(platform: Any) -> None:
        with pytest.raises(CheckRefused) as refused:
            await platform.check(
                SERVER,
                {**WEB, "name": UNKNOWN, "cpus": 0, "nics": [{"network": UNKNOWN, "mac": "no"}, {"mac": UNKNOWN}]},
            )
        assert set(refused.value.failures) == {"cpus", "nics[0].mac", "nics[1].network"}
        assert refused.value.failures["nics[1].network"] == "is required"

    run(work)


def test_unknowns_survive_a_check_at_any_depth_with_defaults_around_them() -> None:
    async def work(platform: Any) -> None:
        checked = await platform.check(
            SERVER,
            {**WEB, "password": UNKNOWN, "nics": [{"network": "n", "address": UNKNOWN}], "labels": {"a": UNKNOWN}},
        )
        assert checked["nics"] == [{"network": "n", "address": UNKNOWN, "groups": []}]
        assert checked["labels"] == {"a": UNKNOWN}
        assert checked["password"] == SecretValue(UNKNOWN)
        assert checked["memoryMib"] == 512
        everything = await platform.check(SERVER, {**WEB, "nics": UNKNOWN, "labels": UNKNOWN})
        assert everything["nics"] is UNKNOWN

    run(work)


@pytest.mark.parametrize(
    ("inputs", "failures"),
    [
        ({"nam": "x"}, {"nam": "is not a property of this type; did you mean 'name'?"}),
        ({"memory_mib": 1}, {"memory_mib": "is not a property of this type; did you mean 'memoryMib'?"}),
        ({"power": "off"}, {"power": "must be 'running' or 'stopped'"}),
        ({"labels": {"a.b": 1}}, {'labels["a.b"]': "must be a valid string"}),
        ({"nics": [{}]}, {"nics[0].network": "is required"}),
        ({"nics": {"a": 1}}, {"nics": "must be a valid list"}),
        ({"cpus": 65}, {"cpus": "must be less than or equal to 64"}),
        ({"image": None}, {"image": "must be a valid string"}),
    ],
)
def test_refusals_say_where_and_why_in_a_few_words(inputs: dict[str, Any], failures: dict[str, str]) -> None:
    async def work(platform: Any) -> None:
        with pytest.raises(CheckRefused) as refused:
            await platform.check(SERVER, {**WEB, **inputs})
        assert refused.value.failures == failures

    run(work)


def test_a_types_own_check_speaks_in_wire_names() -> None:
    async def work(platform: Any) -> None:
        old = {"stackId": "s1", "name": "v", "sizeGib": 4}
        with pytest.raises(CheckRefused) as refused:
            await platform.check(VOLUME, {**old, "sizeGib": 2}, old)
        assert refused.value.failures == {"sizeGib": "cannot shrink from 4 to 2 GiB: the data would be cut off"}

    run(work)


def test_an_object_keeps_the_stack_identity_that_it_was_made_with() -> None:
    async def work(platform: Any) -> None:
        made = await platform.create(SERVER, await platform.check(SERVER, WEB))
        for identity in ("another", UNKNOWN):
            checked = await platform.check(SERVER, {**WEB, "stackId": identity}, made.inputs)
            assert checked["stackId"] == "s1"
            assert (await platform.diff(SERVER, made, {**WEB, "stackId": identity})).detailed == {}
        assert (await platform.check(SERVER, {**WEB, "stackId": "another"}))["stackId"] == "another"

    run(work)


def test_a_diff_is_exact() -> None:
    async def work(platform: Any) -> None:
        base = {**WEB, "nics": [{"network": "a"}, {"network": "b"}], "labels": {"x": "1", "y.z": "2"}}
        made = await platform.create(SERVER, await platform.check(SERVER, base))
        news = {
            **base,
            "cpus": 2,
            "nics": [{"network": "a", "groups": ["g"]}],
            "labels": {"x": "1", "y.z": "3", "new key": "4"},
            "volumes": UNKNOWN,
        }
        found = await platform.diff(SERVER, made, await platform.check(SERVER, news, made.inputs))
        assert found.detailed == {
            "cpus": "update",
            "nics[0].groups[0]": "add",
            "nics[1]": "delete",
            'labels["y.z"]': "update",
            'labels["new key"]': "add",
            "volumes": "update",
        }
        assert found.replaces == ()
        assert found.delete_before_replace
        replaced = await platform.diff(SERVER, made, {**made.inputs, "image": "other", "userData": UNKNOWN})
        assert replaced.detailed == {"image": "update_replace", "userData": "update_replace"}
        assert replaced.replaces == ("image", "userData")
        ignored = await platform.diff(SERVER, made, {**made.inputs, "labels": {}, "cpus": 3}, ["labels"])
        assert ignored.detailed == {"cpus": "update"}

    run(work)


def test_nothing_differs_when_only_spelling_or_defaults_do() -> None:
    async def work(platform: Any) -> None:
        made = await platform.create(SERVER, await platform.check(SERVER, WEB))
        bare = {key: made.inputs[key] for key in ("name", "image", "password", "userData")}
        recorded_by_an_older_release = type(made)(made.id, made.outputs, {**bare, "gone": 1})
        news = await platform.check(SERVER, {**WEB, "password": SecretValue("hunter22")})
        assert (await platform.diff(SERVER, recorded_by_an_older_release, news)).detailed == {}

    run(work)


def test_a_type_without_update_replaces_on_every_change_and_groups_are_made_first() -> None:
    async def work(platform: Any) -> None:
        network = await platform.create(NETWORK, {"stackId": "s", "name": "n", "cidr": "10.0.0.0/8"})
        found = await platform.diff(NETWORK, network, {**network.inputs, "cidr": "10.0.0.0/9"})
        assert found.detailed == {"cidr": "update_replace"}
        group = await platform.create(GROUP, {"stackId": "s", "baseName": "g"})
        found = await platform.diff(GROUP, group, {**group.inputs, "baseName": "h"})
        assert (found.replaces, found.delete_before_replace) == (("baseName",), False)

    run(work)


def test_a_preview_knows_what_mirrors_an_input_and_nothing_else() -> None:
    async def work(platform: Any) -> None:
        inputs = await platform.check(SERVER, {**WEB, "nics": [{"network": UNKNOWN, "address": "10.0.0.1"}]})
        preview = await platform.create(SERVER, inputs, preview=True)
        assert preview.id == ""
        assert preview.outputs == {
            "name": "web",
            "nics": [{"network": UNKNOWN, "address": "10.0.0.1", "groups": []}],
            "password": SecretValue("hunter22"),
            "uuid": UNKNOWN,
            "address": UNKNOWN,
            "starts": UNKNOWN,
        }
        assert platform.store.objects() == []

    run(work)


def test_the_preview_of_an_update_forgets_only_what_may_change() -> None:
    async def work(platform: Any) -> None:
        made = await platform.create(SERVER, await platform.check(SERVER, {**WEB, "nics": [{"network": "n"}]}))
        preview = await platform.update(SERVER, made, {**made.inputs, "labels": {"a": "b"}}, preview=True)
        assert preview.outputs == made.outputs
        preview = await platform.update(SERVER, made, {**made.inputs, "cpus": 2}, preview=True)
        assert preview.outputs == {**made.outputs, "starts": UNKNOWN}
        preview = await platform.update(SERVER, made, {**made.inputs, "nics": []}, preview=True)
        assert preview.outputs == {**made.outputs, "nics": [], "address": UNKNOWN}
        assert len(platform.store.mutations()) == 1

    run(work)


def test_what_cannot_be_read_back_is_carried_forward() -> None:
    async def work(platform: Any) -> None:
        made = await platform.create(SERVER, await platform.check(SERVER, WEB))
        read = await platform.read(SERVER, made)
        assert read == made
        (stored,) = platform.store.objects()
        platform.store.put(replace(stored, properties={**stored.properties, "password": None}))
        assert await platform.read(SERVER, made) == made, "in outputs too"
        imported = await platform.read(SERVER, made.id)
        assert "password" not in imported.inputs
        assert imported.inputs["userData"] == SecretValue("top-secret-script")
        assert await platform.read(SERVER, "server-999999") is None

    run(work)


def test_deleting_twice_succeeds() -> None:
    async def work(platform: Any) -> None:
        made = await platform.create(SERVER, await platform.check(SERVER, WEB))
        await platform.delete(SERVER, made)
        await platform.delete(SERVER, made)
        assert platform.store.objects() == []

    run(work)


def test_an_unhealthy_object_is_reported_with_its_state_and_healed_by_an_update() -> None:
    async def work(platform: Any) -> None:
        platform.store.inject(Fault("create", "unhealthy"))
        inputs = await platform.check(SERVER, WEB)
        with pytest.raises(OperationFailed) as failed:
            await platform.create(SERVER, inputs)
        kept = failed.value.kept
        assert kept is not None
        assert kept.id == platform.store.objects()[0].id
        assert kept.outputs["password"] == SecretValue("hunter22")
        assert failed.value.reasons == ("console of web: kernel panic",)
        healed = await platform.update(SERVER, kept, inputs)
        assert healed.outputs["starts"] == 2, "the update was told that the start had failed"
        assert "__unhealthy" not in healed.outputs

    run(work)


@pytest.mark.parametrize(
    ("effect", "code", "words"),
    [
        ("fail", "ABORTED", "the platform refuses to create web\n  fix: ask the platform's owner"),
        ("defect", "ABORTED", "plugin 'memory' failed at create of compute:Server"),
    ],
)
def test_failures_have_a_code_that_never_doubts_the_state(effect: Any, code: str, words: str) -> None:
    async def work(platform: Any) -> None:
        platform.store.inject(Fault("create", effect))
        with pytest.raises(OperationFailed) as failed:
            await platform.create(SERVER, await platform.check(SERVER, WEB))
        assert failed.value.code == code
        assert words in failed.value.message

    run(work)


def test_a_foreign_object_is_refused_and_left_alone() -> None:
    async def work(platform: Any) -> None:
        await platform.create(SERVER, await platform.check(SERVER, WEB), name="mine")
        with pytest.raises(OperationFailed) as failed:
            await platform.create(SERVER, await platform.check(SERVER, {**WEB, "stackId": "s2"}), name="mine")
        assert failed.value.code == "ALREADY_EXISTS"
        assert len(platform.store.objects()) == 1

    run(work)


def test_secrets_do_not_occur_in_failures() -> None:
    async def work(platform: Any) -> None:
        with pytest.raises(CheckRefused) as refused:
            await platform.check(SERVER, {**WEB, "name": SecretValue("Not_Allowed!"), "password": ["hunter22"]})
        assert "hunter22" not in str(refused.value)
        assert "Not_Allowed" not in str(refused.value)
        with pytest.raises(OperationFailed) as failed:
            await platform.configure({"token": SecretValue("wrong")})
        assert "token [secret]" in failed.value.message

    run(work)


def test_a_passing_failure_is_tried_again_until_the_time_is_up() -> None:
    async def work(platform: Any) -> None:
        platform.store.inject(Fault("create", "retry", times=2))
        made = await platform.create(SERVER, await platform.check(SERVER, WEB))
        assert made.id
        assert len(platform.store.mutations()) == 3
        await platform.delete(SERVER, made)
        platform.store.inject(Fault("create", "retry", times=99))
        started = time.monotonic()
        with pytest.raises(OperationFailed) as failed:
            await platform.create(SERVER, await platform.check(SERVER, WEB), timeout=1.0)
        assert time.monotonic() - started < 30
        assert "too busy" in failed.value.message

    run(work)


def test_a_time_limit_ends_a_wait_and_is_said() -> None:
    async def work(platform: Any) -> None:
        platform.store.inject(Fault("create", "slow", seconds=60))
        with pytest.raises(OperationFailed) as failed:
            await platform.create(SERVER, await platform.check(SERVER, WEB), timeout=0.5)
        assert failed.value.code == "DEADLINE_EXCEEDED"
        assert "customTimeouts" in failed.value.message

    run(work)


def test_cancel_ends_every_wait_at_once_and_other_calls_are_served_meanwhile() -> None:
    async def work(platform: Any) -> None:
        platform.store.inject(Fault("create", "slow", times=20, seconds=60))
        checked = await platform.check(SERVER, WEB)
        waiting = [
            asyncio.create_task(platform.create(SERVER, {**checked, "name": f"web-{index}"}, name=str(index)))
            for index in range(20)
        ]
        while len(platform.store.mutations()) < 20:
            await asyncio.sleep(0.02)
        await platform.check(SERVER, WEB)
        started = time.monotonic()
        await platform.stub.Cancel(empty_pb2.Empty())
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert time.monotonic() - started < 30
        assert {answer.code for answer in answers if isinstance(answer, OperationFailed)} == {"CANCELLED"}
        assert len(answers) == 20
        await platform.stub.Handshake(provider_pb2.ProviderHandshakeRequest())
        assert (await platform.create(SERVER, checked)).id, "the next engine begins anew"

    run(work)


def test_configuration_is_read_from_texts_and_refused_with_its_key() -> None:
    async def work(platform: Any) -> None:
        checked = await platform.check_config({"limits": '{"servers": "3"}', "token": "t0ken", "version": "1.2.3"})
        assert checked == {
            "limits": {"servers": 3},
            "token": SecretValue("t0ken"),
            "region": "here",
            "version": "1.2.3",
        }
        with pytest.raises(CheckRefused) as refused:
            await platform.check_config({"regoin": "x", "limits": "no"})
        assert refused.value.failures == {
            "regoin": "is not a property of this type; did you mean 'region'?",
            "limits": "must be a valid dictionary",
        }
        request = provider_pb2.DiffRequest(
            old_inputs=encode_struct({"region": "a"}), news=encode_struct({"region": "b"})
        )
        answer = await platform.stub.DiffConfig(request)
        assert (answer.changes, list(answer.diffs), list(answer.replaces)) == (answer.DIFF_SOME, ["region"], [])

    run(work)


def test_what_is_not_offered_is_said() -> None:
    async def work(platform: Any) -> None:
        with pytest.raises(OperationFailed) as failed:
            await platform.check("compute:Sever", {})
        assert "did you mean 'compute:Server'?" in failed.value.message
        with pytest.raises(Exception, match="has no function 'x'"):
            await platform.stub.Invoke(provider_pb2.InvokeRequest(tok="x"))

    run(work)


def test_the_frameworks_address_plan_is_served_beside_the_plugins_types() -> None:
    async def work(platform: Any) -> None:
        inputs = {
            "scope": "p-s",
            "networks": {"front": {"cidr": "10.0.0.0/24"}},
            "wanted": {"web/front": {"network": "front"}},
        }
        checked = await platform.check("index:AddressPlan", inputs)
        preview = await platform.create("index:AddressPlan", checked, preview=True)
        given = preview.outputs["assigned"]["web/front"]
        assert given["ipv4"].startswith("10.0.0.")
        made = await platform.create("index:AddressPlan", checked)
        more = {**inputs, "wanted": {"a/front": {"network": "front"}, "web/front": {"network": "front"}}}
        again = await platform.check("index:AddressPlan", more, made.inputs)
        assert again["assigned"]["web/front"] == given
        found = await platform.diff("index:AddressPlan", made, again)
        assert 'assigned["a/front"]' in found.detailed
        assert 'assigned["web/front"]' not in " ".join(found.detailed)
        assert not contains_secret(again)

    run(work)
