"""The state that Pulumi exports, as verification reads it."""

import json
from typing import Any

import pytest

from provision.errors import UserError
from provision.models import Stack
from provision.spi import Properties, ResourceType
from provision.verify import HIDDEN, read_state

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:abc:def"}
PLAIN = SECRET | {"plaintext": '"hunter2"'}
PREFIX = "urn:pulumi:dev::shop::"
STACK = f"{PREFIX}pulumi:pulumi:Stack::shop-dev"
TOP = f"{PREFIX}pulumi:pulumi:Stack$provision:index:Stack::shop"
WEB = f"{PREFIX}pulumi:pulumi:Stack$provision:index:Stack$provision:index:Machine::machines/web-0"


def resource(urn: str, type_: str, parent: str = "", **more: Any) -> dict[str, Any]:
    return {"urn": urn, "type": type_, "parent": parent, **more}


def export() -> dict[str, Any]:
    policy = f"{PREFIX}provision:index:Policy::isolation/quiet"
    return {
        "version": 3,
        "deployment": {
            "resources": [
                resource(STACK, "pulumi:pulumi:Stack"),
                resource(
                    f"{PREFIX}pulumi:providers:provision-libvirt::default",
                    "pulumi:providers:provision-libvirt",
                    inputs={
                        "uri": "qemu:///system",
                        "lockTimeout": "5",
                        "token": SECRET,
                        "version": "0.1.0",
                        "__internal": {},
                    },
                ),
                resource(TOP, "provision:index:Stack", STACK),
                resource(f"{PREFIX}x::stack-id", "pulumi:index:Stash", TOP, outputs={"output": "c0ffee"}),
                resource(
                    f"{PREFIX}x::addresses",
                    "provision-libvirt:index:AddressPlan",
                    TOP,
                    outputs={"assigned": {"web-0/front": {"mac": "02:aa", "ipv4": "10.0.0.7", "ipv6": "fd00::7"}}},
                ),
                resource(WEB, "provision:index:Machine", TOP),
                resource(
                    f"{PREFIX}x::machines/web-0/domain",
                    "provision-libvirt:domain:Domain",
                    WEB,
                    id="uuid-1",
                    outputs={"domainName": "shop-dev-web-0", "userData": PLAIN, "labels": {"keepThis": 1}},
                ),
                resource(
                    f"{PREFIX}x::machines/web-0/domain",
                    "provision-libvirt:domain:Domain",
                    WEB,
                    id="uuid-0",
                    delete=True,
                    outputs={"domainName": "leaving"},
                ),
                resource(
                    policy,
                    "provision:index:Policy",
                    TOP,
                    outputs={"kind": "spread", "level": "preferred", "verdict": "downgrade", "reason": "one host"},
                ),
            ]
        },
    }


def test_machines_come_with_their_natives_under_python_names() -> None:
    found = read_state(export())
    (native,) = found.machines["web-0"].natives
    assert (native.token, native.name, native.id) == ("domain:Domain", "machines/web-0/domain", "uuid-1")
    assert native.outputs == {"domain_name": "shop-dev-web-0", "user_data": HIDDEN, "labels": {"keepThis": 1}}


def test_names_are_exact_where_the_plugin_says_them() -> None:
    class Properly(Properties):
        domain_name: str
        user_data2_x: str

    class Domain(ResourceType[Any, Any, Any]):
        token = "domain:Domain"
        Inputs = Outputs = Properly

        def create(self, request: Any) -> Any:
            raise NotImplementedError

    data = export()
    data["deployment"]["resources"][6]["outputs"] = {"userData2X": "text"}
    (native,) = read_state(data, [Domain]).machines["web-0"].natives
    assert native.outputs == {"user_data2_x": "text"}


def test_the_stack_is_identified_with_its_platform_and_configuration() -> None:
    found = read_state(export())
    assert (found.project, found.name, found.platform, found.stack_id) == ("shop", "dev", "libvirt", "c0ffee")
    assert found.provider_config == {"uri": "qemu:///system", "lock_timeout": "5", "token": HIDDEN}


def test_addresses_are_those_of_the_plan_in_the_order_of_the_file() -> None:
    stack = Stack.model_validate(
        {
            "version": 1,
            "networks": {"front": {"cidr": "10.0.0.0/24"}},
            "machines": {
                "web": {"image": "micro", "count": 2, "memory": "96MiB", "nics": [{"network": "front"}]},
            },
        }
    )
    addresses = read_state(export()).addresses(stack)
    assert list(addresses) == ["web-0"]
    assert (addresses["web-0"][0].network, addresses["web-0"][0].ipv4, addresses["web-0"][0].ipv6) == (
        "front",
        "10.0.0.7",
        "fd00::7",
    )


def test_downgrades_are_kept_with_their_reason() -> None:
    (policy,) = read_state(export()).downgraded
    assert (policy.name, policy.kind, policy.level, policy.reason) == ("quiet", "spread", "preferred", "one host")


def test_no_secret_leaves_the_state() -> None:
    text = repr(read_state(export()))
    assert "hunter2" not in text
    assert "v1:abc" not in text


@pytest.mark.parametrize("data", [{"deployment": None}, {"deployment": {"resources": "x"}}])
def test_what_is_no_export_is_refused_with_words(data: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="not an exported stack"):
        read_state(data)


def test_an_empty_stack_is_empty() -> None:
    assert read_state(json.loads('{"version": 3, "deployment": {}}')).machines == {}
