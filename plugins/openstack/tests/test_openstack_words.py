"""What is said of machines that failed and of extra specs."""

import asyncio
import subprocess
import sys

import pytest
from provision_openstack.errors import may_pass, server_fault
from provision_openstack.extra_specs import known, problems
from provision_openstack.provider import OpenStackProvider

from provision.testing import CheckRefused, Lifecycle


@pytest.mark.parametrize(
    ("text", "reason", "advice"),
    [
        (
            "No valid host was found. There are not enough hosts available.",
            "no host of the cloud can take it",
            "smaller flavor",
        ),
        ("Exceeded maximum number of retries.", "every host that was tried refused it", "operators"),
        ("Build of instance x aborted: Failed to allocate the network(s)", "its network could not be set up", "agents"),
        ("Binding failed for port y", "its network could not be set up", "agents"),
        ("something else", "the cloud could not start it: something else", "operators"),
        ("", "does not say why", "operators"),
    ],
)
def test_a_server_in_error_says_why_with_novas_own_text_and_the_way_out(text, reason, advice):
    said, fix = server_fault({"status": "ERROR", "fault": {"code": 500, "message": text}})

    assert reason in said
    assert text in said
    assert advice in fix


def test_what_another_attempt_may_be_spared_is_told_apart_from_what_stays():
    assert may_pass(["every host refused it: Exceeded maximum number of retries. Exhausted all hosts available"])
    assert may_pass(["Binding failed for port p, please check neutron logs"])
    assert not may_pass(["No valid host was found. There are not enough hosts available.", "Quota exceeded"])


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        ({"hw:cpu_policy": "dedicated", "hw:cpu_thread_policy": "isolate", "hw:numa_cpus.0": "0-3"}, []),
        ({"trait:HW_CPU_X86_AVX2": "required", "resources:CUSTOM_GOLD": "1", "quota:disk_read_iops_sec": "100"}, []),
        ({"ssd": "true", "aggregate_instance_extra_specs:ssd": "true"}, []),
        ({"hw:cpu_polcy": "dedicated"}, ["Nova knows no extra spec 'hw:cpu_polcy'; 'hw:cpu_policy' is one"]),
        ({"hw:cpu_policy": "pinned"}, ["'hw:cpu_policy' must be one of dedicated, shared, mixed, not 'pinned'"]),
        ({"hw:numa_nodes": "0"}, ["'hw:numa_nodes' must be at least 1, not 0"]),
        ({"hw:locked_memory": "maybe"}, ["'hw:locked_memory' must be 'true' or 'false', not 'maybe'"]),
        ({"quota:cpu_quota": "half"}, ["'quota:cpu_quota' must be a whole number, not 'half'"]),
        ({"hw:mem_page_size": "huge"}, ["'hw:mem_page_size' cannot be 'huge'"]),
        ({"trait:HW_CPU_AVX": "required"}, ["Nova knows no extra spec 'trait:HW_CPU_AVX'"]),
        (
            {"hw:mem_encryption_model": "amd-sev"},
            ["'hw:mem_encryption_model' does nothing without 'hw:mem_encryption' set to 'true'"],
        ),
        (
            {"hw:cpu_thread_policy": "isolate"},
            ["'hw:cpu_thread_policy' does nothing without 'hw:cpu_policy' set to 'dedicated'"],
        ),
    ],
)
def test_extra_specs_that_nova_would_ignore_or_refuse_are_named(specs, said):
    assert list(problems(specs)) == said


def test_what_operators_made_up_is_not_novas():
    assert known("hw:cpu_policy")
    assert not known("ssd")


def test_a_flavor_with_a_slip_in_an_extra_spec_is_refused_before_it_is_made():
    async def checked(specs):
        async with Lifecycle(OpenStackProvider, configure=False) as lifecycle:
            inputs = {"stackId": "a" * 32, "name": "f", "vcpus": 1, "ramMib": 64, "diskGib": 1, "extraSpecs": specs}
            await lifecycle.check("compute:Flavor", inputs)

    asyncio.run(checked({"hw:cpu_policy": "dedicated"}))
    with pytest.raises(CheckRefused, match="'hw:cpu_policy' is one"):
        asyncio.run(checked({"hw:cpu_polcy": "dedicated"}))


def test_a_process_of_the_plugin_is_ready_before_the_sdk_is_loaded():
    program = (
        "import sys, provision_openstack.provider\n"
        "slow = {'openstack', 'keystoneauth1', 'requests', 'urllib3', 'provision.models'} & set(sys.modules)\n"
        "print(*sorted(slow), end='')"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert (done.stdout, done.stderr) == ("", "")
