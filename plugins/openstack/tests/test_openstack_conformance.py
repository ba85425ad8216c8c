"""The plugin keeps the promises of the interface on a real OpenStack, whatever goes wrong with any call to it."""

import pytest
from provision_openstack.conformance import OpenStackConformance

pytestmark = pytest.mark.lab

_CHECKS = (
    # each way of doing things once: types share their code, and what is theirs alone is how they are made and changed
    "network:Network-create-lost-after",
    "network:Network-foreign",
    "network:Subnet-update-1",
    "network:Router-update-2",
    "network:RouterInterface-second-apply",
    "network:SecurityGroup-create-killed",
    "network:SecurityGroupRule-foreign",
    "network:AddressGroup-update-1",
    "network:QosPolicy-update-2",
    "network:Port-foreign",
    "network:FloatingIp-second-apply",
    "compute:Keypair-import",
    "compute:ServerGroup-replace-1",
    "compute:Flavor-update-1",
    "image:Image-update-2",
    "volume:Volume-update-1",
    "compute:Server-import",
    "compute:Server-update-2",
    "compute:Server-update-4",
    "compute:VolumeAttachment-delete",
    # what stands in the way, what is found, and what is refused
    "network:Subnet-foreign",
    "network:RouterInterface-foreign",
    "network:FloatingIp-foreign",
    "compute:VolumeAttachment-foreign",
    "compute:VolumeAttachment-list",
    "compute:Server-other-stack",
    "compute:Server-list-error",
    # calls that fail, are lost or are not answered; runs that are cancelled, and processes that are killed
    "network:Network-create-error",
    "network:Network-create-throttled",
    "network:Network-create-cancelled",
    "network:Network-update-killed",
    "network:Network-delete-lost-after",
    "network:Subnet-create-killed",
    "network:SecurityGroupRule-create-lost-after",
    "network:Port-create-killed",
    "network:Port-update-lost-after",
    "volume:Volume-create-lost-after",
    "volume:Volume-delete-cancelled",
    "compute:VolumeAttachment-create-killed",
    "compute:Server-create-lost-after",
    "compute:Server-secrets",
)


@pytest.fixture(scope="module", autouse=True)
def administrator(cloud):
    """Flavors are made by administrators alone."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (cloud.environment | {"OS_CLOUD": "lab-admin"}).items():
            patch.setenv(name, value)
        yield


class TestConformance(OpenStackConformance):
    """Each check is a test; `provision plugin check openstack` makes all of them for all types."""

    @classmethod
    def cases(cls):
        return [case for case in super().cases() if case.name in _CHECKS]


def test_every_chosen_check_is_one_of_the_kit():
    assert {case.name for case in OpenStackConformance.cases()} >= set(_CHECKS)
