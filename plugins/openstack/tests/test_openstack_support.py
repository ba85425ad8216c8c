"""Every field of a stack file is answered, and whatever is refused is refused with a reason and a way out."""

from pathlib import Path

import pytest
import yaml
from cloud_requests import FACTS
from provision_openstack.provider import OpenStackProvider
from provision_openstack.support import BEST, supports

from provision.models import Revoke, Stack
from provision.spi import Capabilities, FeatureUse
from provision.translate.features import features
from provision.translate.grammar import answers, refusals


def answer(feature, value=None, **facts):
    return supports(FeatureUse(feature, (), value), Capabilities("openstack", FACTS | facts))


def test_no_field_of_the_grammar_is_unknown():
    told = refusals(answers(OpenStackProvider(), Capabilities("openstack", BEST)))
    assert told
    assert not [one for one in told if "plugin does not know" in str(one)]


@pytest.mark.parametrize(
    ("feature", "value", "facts"),
    [
        ("isolation.policies.traffic", None, {"extensions": []}),
        ("isolation.policies.anti_spoofing", None, {"extensions": []}),
        ("isolation.policies.spread.max_per", 2, {"microversions": {"compute": "2.60"}}),
        ("machines.disks.size", 1, {"services": ["compute", "network"]}),
        ("machines.disks.type", "slow", {}),
        ("sharing.shares.nic.outbound", 1, {"extensions": ["security-group"]}),
        ("isolation.policies.metadata.access", "token", {}),
        ("isolation.services.nd", False, {}),
        ("isolation.policies.peer_isolation", None, {}),
        ("isolation.policies.traffic.revoke", Revoke.CUT, {}),
        ("isolation.policies.disk_encryption", None, {"encrypted_types": None}),
        ("isolation.policies.disk_encryption", None, {"encrypted_types": []}),
        ("isolation.policies.disk_encryption", None, {"encrypted_types": [], "refuted_types": ["luks"]}),
        ("isolation.policies.disk_encryption.key", "mine", {}),
        ("machines.disks.encrypted", True, {"encrypted_types": []}),
        ("sharing.shares.cpu.weight", 50, {}),
        ("machines.something.new", 1, {}),
    ],
)
def test_what_a_cloud_cannot_do_is_refused_with_a_reason_and_a_way_out(feature, value, facts):
    said = answer(feature, value, **facts)
    assert not said.enforced
    assert said.reason
    assert said.fix


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("isolation.policies.traffic", None),
        ("isolation.policies.spread.max_per", 2),
        ("machines.disks.type", "fast"),
        ("sharing.shares.nic.inbound", 1),
        ("isolation.services.nd", True),
        ("isolation.services.ntp", False),
    ],
)
def test_what_a_cloud_can_do_is_enforced(feature, value):
    assert answer(feature, value).enforced


def test_a_stack_of_this_repository_raises_no_refusal():
    text = (Path(__file__).resolve().parents[3] / "stacks/02-web/stack.yaml").read_text()
    stack = Stack.model_validate(yaml.safe_load(text))
    capabilities = Capabilities("openstack", FACTS)
    assert not [use.feature for use in features(stack, "openstack") if not supports(use, capabilities).enforced]
