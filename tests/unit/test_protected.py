"""What is protected is named in the words of a stack file, before anything else is removed."""

import json

import pytest

from provision.errors import UserError
from provision.host.protected import may_be_protected, refuse_protected, reworded

CHAIN = "urn:pulumi:dev::shop::provision:index:Stack$provision:index:Machine$provision-libvirt"
DOMAIN, DISK = f"{CHAIN}:domain:Domain::machines/web-0/domain", f"{CHAIN}:storage:Volume::machines/web-0/disk-data"
NETWORK = "urn:pulumi:dev::shop::provision:index:Stack$provision-libvirt:network:Network::networks/lan/network"


def state(*protected):
    return {"resources": [{"urn": urn, "protect": urn in protected} for urn in (DOMAIN, DISK, NETWORK)]}


def test_a_stack_of_which_something_is_protected_is_not_removed():
    refuse_protected(state())
    refuse_protected({})
    with pytest.raises(UserError, match=r"so not removed: 'web-0'; nothing was changed") as caught:
        refuse_protected(state(DOMAIN, DISK))
    assert "'delete_protection: false'" in caught.value.fix
    with pytest.raises(UserError, match="'networks/lan/network'"):
        refuse_protected(state(NETWORK))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'resource "{DOMAIN}" cannot be deleted\nbecause it is protected. To unprotect it, …', "machine 'web-0' is"),
        (
            f'unable to replace resource "{DISK}"\nas it is currently marked for protection. To …',
            "disk 'data' of machine 'web-0' is",
        ),
    ],
)
def test_the_engines_words_become_those_of_a_stack_file(text, said):
    assert reworded(text).startswith(f"{said} protected, so it is neither deleted nor made anew\nfix: write")
    assert "urn:" not in reworded(text)


def test_other_messages_stay():
    assert reworded("resource 'web' is protected by a fence") == "resource 'web' is protected by a fence"


def test_the_engine_is_asked_only_when_the_state_may_protect_something(tmp_path):
    url = f"file://{tmp_path}"
    file = tmp_path / ".pulumi/stacks/shop/dev.json"
    file.parent.mkdir(parents=True)

    assert may_be_protected(url, "shop", "dev"), "nothing is known"
    file.write_text(json.dumps({"checkpoint": {"latest": {"resources": [{"urn": DOMAIN}]}}}))
    assert not may_be_protected(url, "shop", "dev")
    file.write_text(json.dumps({"checkpoint": {"latest": state(DOMAIN)}}))
    assert may_be_protected(url, "shop", "dev")
    assert may_be_protected("s3://bucket", "shop", "dev")
