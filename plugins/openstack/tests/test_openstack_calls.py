"""What a session does with the answers of a cloud: each call is made once, and every failure says what to do."""

import os

import pytest
from fake_cloud import FakeCloud
from provision_openstack.capabilities import volume_types
from provision_openstack.config import OpenStackConfig
from provision_openstack.doctor import diagnose
from provision_openstack.errors import AnswerLost, ApiError, explained
from provision_openstack.session import Session

from provision.errors import (
    EnvironmentProblem,
    NotFound,
    PlatformError,
    RetriableError,
    Throttled,
    UserError,
)

NETWORKS = "/network/v2.0/networks"


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    with FakeCloud() as made:
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(made.clouds(tmp_path)))
        monkeypatch.delenv("OS_CLOUD", raising=False)
        yield made


@pytest.fixture
def session(cloud):
    made = Session(OpenStackConfig(cloud="fake"))
    yield made
    made.close()


def refusal(session, doing="making the network 'front'", **answer):
    with pytest.raises(Exception) as caught, explained(doing):  # noqa: PT011 - its class is what is looked at
        session.network.post("/networks", {})
    return caught.value


def test_the_project_its_roles_and_its_region_are_known(session):
    assert (session.project_id, session.roles, session.region) == ("f" * 32, ["member"], "here")


def test_a_project_that_may_not_be_worked_in_is_refused_before_anything_is_asked(cloud):
    with pytest.raises(EnvironmentProblem, match="only x may be worked in"):
        Session(OpenStackConfig(cloud="fake", project_ids=["x"]))

    assert not [call for call in cloud.asked if not call.startswith(("GET /v3", "POST /v3"))]


def test_a_password_is_in_no_message(cloud, tmp_path, monkeypatch):
    text = (tmp_path / "clouds.yaml").read_text().replace("/v3", "/nowhere")
    (tmp_path / "clouds.yaml").write_text(text)

    with pytest.raises(EnvironmentProblem) as caught:
        Session(OpenStackConfig(cloud="fake"))

    assert "hush-hush" not in str(caught.value)
    assert "can be reached" in caught.value.fix


def test_a_service_that_the_cloud_does_not_have_is_named(session):
    with pytest.raises(EnvironmentProblem, match="no service of the type 'placement' in the region here"):
        session.service("placement")
    assert not session.has("placement")


@pytest.mark.parametrize(
    ("answer", "kind", "advice"),
    [
        ((400, {"NeutronError": {"type": "InvalidInput", "message": "no"}}), UserError, "stack file"),
        ((401, {"error": {"message": "who"}}), EnvironmentProblem, "clouds.yaml"),
        ((403, {"forbidden": {"message": "Policy doesn't allow"}}), EnvironmentProblem, "role"),
        ((403, {"forbidden": {"message": "Quota exceeded for cores: 5 of 4"}}), PlatformError, "higher quota"),
        ((404, {"NeutronError": {"type": "NotFound", "message": "gone"}}), NotFound, "provision refresh"),
        ((409, {"NeutronError": {"type": "OverQuota", "message": "Quota exceeded"}}), PlatformError, "higher quota"),
        ((409, {"NeutronError": {"type": "NetworkInUse", "message": "busy"}}), RetriableError, "uses it"),
        ((409, {"NeutronError": {"type": "MacAddressInUse", "message": "mac"}}), PlatformError, "in the way"),
        (
            (409, {"NeutronError": {"type": "IpAddressGenerationFailure", "message": "full"}}),
            PlatformError,
            "addresses",
        ),
        ((413, {"overLimit": {"message": "VolumeLimitExceeded"}}), PlatformError, "higher quota"),
        ((429, {"overLimit": {"message": "slow down"}}, {"Retry-After": "3"}), Throttled, "parallelism"),
        ((500, {"computeFault": {"message": "oops"}}), AnswerLost, "operators"),
        ((502, None), AnswerLost, "operators"),
        ((503, None, {"Retry-After": "7"}), AnswerLost, "operators"),
        (None, AnswerLost, "operators"),
    ],
)
def test_a_refusal_says_whose_fault_it_is_and_what_to_do(cloud, session, answer, kind, advice):
    cloud.lay("POST", NETWORKS, answer)

    problem = refusal(session)

    assert type(problem) is kind
    assert problem.summary.startswith("making the network 'front': ")
    assert advice in problem.fix


@pytest.mark.parametrize("answer", [(503, None), (500, None), None])
def test_a_call_that_failed_is_made_once_and_left_to_the_framework(cloud, session, answer):
    cloud.lay("POST", NETWORKS, answer)

    refusal(session)

    assert cloud.asked[f"POST {NETWORKS}"] == 1


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7), ("0.5", 0.5), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("soon", None)]
)
def test_the_time_that_a_service_asks_for_is_given_to_it(cloud, session, text, seconds):
    cloud.lay("POST", NETWORKS, (503, None, {"Retry-After": text}))

    assert refusal(session).retry_after == seconds


def test_a_token_that_ends_in_the_middle_is_renewed_and_the_call_repeated(cloud, session):
    cloud.lay("POST", NETWORKS, (401, {"error": {"message": "expired"}}), (201, {"network": {"id": "n"}}))

    assert session.network.post("/networks", {}) == {"network": {"id": "n"}}
    assert cloud.tokens == 2


def test_an_upload_begins_anew_with_a_new_token(cloud, session, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(b"x" * 3_000_000)
    cloud.discoverable("image", "2")
    cloud.lay("PUT", "/image/v2/images/i/file", (401, {"error": {"message": "expired"}}), (204, None))
    opened = []

    def stream():
        opened.append(path.open("rb"))
        return opened[-1]

    session.image.upload("/images/i/file", stream)

    assert len(opened) == 2
    assert cloud.tokens == 2


@pytest.mark.parametrize(
    ("second", "many"),
    [
        ({"networks_links": [{"rel": "next", "href": "http://elsewhere/v2.0/networks?limit=2&marker=b"}]}, "networks"),
        ({"next": "/v2/images?limit=2&marker=b"}, "networks"),
    ],
)
def test_pages_are_followed_whatever_address_they_name(cloud, session, second, many):
    cloud.lay("GET", NETWORKS, (200, {many: [{"id": "a"}, {"id": "b"}], **second}), (200, {many: [{"id": "c"}]}))

    found = [one["id"] for one in session.network.pages("/networks", many, {"limit": "2"})]

    assert found == ["a", "b", "c"]
    assert cloud.queries[-1] == "limit=2&marker=b"


def test_a_service_is_asked_what_it_is_once_however_many_begin_at_a_time(cloud, session):
    cloud.discoverable("compute", "2.1")
    cloud.lay("GET", "/compute/v2.1/servers", (200, {"servers": []}))

    session.together(*[lambda: session.compute.get("/servers")] * 8)

    assert cloud.asked["GET /compute/v2.1/servers"] == 8
    assert cloud.asked["GET /compute/v2.1"] == 1


def test_a_region_that_the_cloud_does_not_have_is_named_with_those_that_it_has(cloud, tmp_path):
    path = tmp_path / "clouds.yaml"
    path.write_text(path.read_text().replace('"region_name": "here"', '"regions": []'))
    with pytest.raises(EnvironmentProblem, match="no region 'there'; its regions are: here"):
        Session(OpenStackConfig(cloud="fake", region="there")).network  # noqa: B018 - it is asked for when it is used
    assert Session(OpenStackConfig(cloud="fake", region="here")).network


def test_a_region_that_clouds_yaml_does_not_allow_is_refused_with_those_that_it_does(cloud):
    with pytest.raises(EnvironmentProblem, match="Valid choices are here") as caught:
        Session(OpenStackConfig(cloud="fake", region="there"))
    assert "`regions`" in caught.value.fix


def test_every_call_passes_whoever_stands_between(cloud, session):
    cloud.lay("GET", f"{NETWORKS}/{'0' * 32}", (200, {"network": {}}))
    names = []

    def run(name, call):
        names.append(name)
        return call()

    session.stand_between(run)
    session.network.get(f"/networks/{'0' * 32}")

    assert names == ["network.GET /networks/ID"]


def test_what_is_no_answer_of_the_service_itself_is_told_in_plain_words(cloud, session):
    page = {"Content-Type": "text/html"}
    cloud.lay(
        "POST", NETWORKS, (400, "<html><head><title>x</title></head><body>no <b>such</b> thing</body></html>", page)
    )

    with pytest.raises(ApiError) as caught:
        session.network.post("/networks", {})

    assert "no such thing" in caught.value.text


@pytest.mark.parametrize(
    ("configured", "answer", "encrypted", "refuted"),
    [
        (["luks"], (200, {"provider": "luks"}), ["luks"], []),
        ([], (200, {"provider": "luks"}), ["luks"], []),
        (["luks"], (200, {}), [], ["luks"]),
        (["luks"], (404, {"itemNotFound": {"message": "no"}}), [], ["luks"]),
        (["luks", "nothing"], (403, {"forbidden": {"message": "no"}}), ["luks"], ["nothing"]),
        ([], (403, {"forbidden": {"message": "no"}}), None, []),
    ],
)
def test_which_types_of_volumes_encrypt_the_cloud_knows_better_than_the_configuration(
    cloud, configured, answer, encrypted, refuted
):
    cloud.discoverable("block-storage", "3")
    cloud.lay("GET", "/block-storage/v3/types", (200, {"volume_types": [{"name": "luks", "id": "t"}]}))
    cloud.lay("GET", "/block-storage/v3/types/t/encryption", answer)
    session = Session(OpenStackConfig(cloud="fake", encrypted_volume_types=configured))

    told = volume_types(session)

    assert (told["encrypted_types"], told["refuted_types"]) == (encrypted, refuted)
    session.close()


def test_whoever_has_chosen_no_cloud_misses_none(monkeypatch):
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("openstack.config.loader.CONFIG_FILES", [])

    assert [(one.subject, one.ok) for one in diagnose(OpenStackConfig())] == [("project", None)]
    assert [(one.subject, one.ok) for one in diagnose(OpenStackConfig(cloud="nowhere"))] == [("project", False)]
