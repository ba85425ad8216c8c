"""What policies make of where machines lie and how they start, and what the account itself says against it."""

import pytest
from aws_planning import planned, refused, warned
from provision_aws.capabilities import _uefi_images

from provision.spi import Output

AMI, LEGACY = "ami-0123456789abcdef0", "ami-0fedcba9876543210"


def text(policies="{}", machine="", network="{cidr: 10.20.1.0/24}"):
    return f"""
images: {{own: {{sources: {{aws: {{kind: named, name: {AMI}}}}}}}}}
networks: {{lan: {network}}}
machines: {{web: {{image: own, memory: 1GiB, nics: [{{network: lan}}], {machine}}}}}
isolation: {{policies: {policies}}}
"""


def instance(nodes, name="web"):
    return nodes[f"machines/{name}/instance"]


SIGNED = "{signed: {kind: secure_boot, machines: [machine.*], vtpm: true}}"


def test_machines_start_securely_from_images_of_the_account_that_do_and_types_have_a_tpm():
    made = instance(planned(text(SIGNED), uefi_images={AMI: {"enrolled": True, "tpm": True}})).inputs

    assert made["image_id"] == AMI
    assert made["requirements"]["nitro_tpm"] is True


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({}, "no image of the account that starts by UEFI alone with keys enrolled and has a NitroTPM"),
        ({AMI: {"enrolled": False, "tpm": True}}, "with keys enrolled"),
        ({AMI: {"enrolled": True, "tpm": False}}, "and has a NitroTPM"),
    ],
)
def test_other_images_do_not_start_securely(known, reason):
    said = refused(text(SIGNED), uefi_images=known)

    assert any(reason in one for one in said), said


def test_which_images_start_securely_is_asked_of_ec2(session, ec2):
    mine = {"ImageId": AMI, "BootMode": "uefi", "TpmSupport": "v2.0"}
    either = {"ImageId": LEGACY, "BootMode": "uefi-preferred"}
    filters = [{"Name": "boot-mode", "Values": ["uefi", "uefi-preferred"]}]
    ec2.add_response("describe_images", {"Images": [either, mine]}, {"Owners": ["self"], "Filters": filters})
    told = {"ImageId": AMI, "UefiData": {"Value": "QU1aTlVFRkk="}}
    ec2.add_response("describe_image_attribute", told, {"ImageId": AMI, "Attribute": "uefiData"})

    assert dict(_uefi_images(session)) == {AMI: {"enrolled": True, "tpm": True}}
    ec2.assert_no_pending_responses()


def test_several_machines_share_a_partition_and_no_more_than_may():
    nodes = planned(text("{apart: {kind: spread, machines: [machine.*], max_per: 2}}", "count: 5"))

    group = nodes["isolation/apart/placement"].inputs
    placed = [instance(nodes, f"web-{index}").inputs["placement"] for index in range(5)]
    assert (group["strategy"], group["partition_count"]) == ("partition", 7)
    assert [one["partition_number"] for one in placed] == [1, 1, 2, 2, 3]
    assert {one["group_name"] for one in placed} == {Output("isolation/apart/placement", "group_name")}


def test_machines_that_are_to_be_near_are_in_a_cluster_of_types_with_cores_of_their_own():
    nodes = planned(text("{near: {kind: pack, machines: [machine.*], over: rack}}", "count: 2"))

    assert nodes["isolation/near/placement"].inputs["strategy"] == "cluster"
    assert instance(nodes, "web-1").inputs["requirements"]["burstable"] is False


@pytest.mark.parametrize(("threads", "smt"), [(1, "isolate"), (2, "require"), (None, "share")])
def test_threads_of_a_core_are_as_the_policy_says(threads, smt):
    made = instance(planned(text(f"{{cores: {{kind: dedicated_cpus, machines: [machine.*], smt: {smt}}}}}"))).inputs

    assert made["requirements"].get("threads_per_core") == threads
    assert (made.get("cpu_options") or {}).get("threads_per_core") == (1 if threads == 1 else None)


@pytest.mark.parametrize(("internet", "mode", "told"), [("routed", "block-ingress", True), ("none", "off", False)])
def test_an_account_that_keeps_its_vpcs_from_the_internet_is_told(internet, mode, told):
    network = f"{{cidr: 10.20.1.0/24, internet: {internet}}}"
    found = [one for one in warned(text(network=network), block_public_access=mode) if "Block Public Access" in one]

    assert found == (["the account keeps VPCs from the internet (VPC Block Public Access: block-ingress), whatever "
                      "routes say"] if told else [])  # fmt: skip


def test_a_protected_machine_is_protected_by_ec2_and_by_the_engine():
    made = instance(planned(text(machine="delete_protection: true")))

    assert made.inputs["termination_protection"] is True
    assert made.protect
    assert not instance(planned(text())).protect


def test_a_spot_machine_takes_spare_capacity_and_is_not_stopped():
    spot = "overrides: {aws: {spot: {max_price: '0.05'}}}"

    assert instance(planned(text(machine=spot))).inputs["spot"] == {"max_price": "0.05"}
    said = refused(text(machine=f"{spot}, power: stopped"))
    assert any("a spot machine cannot be stopped" in one for one in said), said
