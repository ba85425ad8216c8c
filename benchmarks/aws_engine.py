"""`provision up` of many machines on EC2 with the real engine, beside a boto3 script that makes the very same objects.

    python benchmarks/aws_engine.py [N ...]

EC2 is the emulated one of the plugin's tests, over HTTP; each of the two begins on an empty one, and calls are counted
there, whoever makes them: the preview that `up` begins with, and the update, each in processes of its own. The script
is a careful one: it looks whether an earlier run has left something, finds a zone and the image, asks for its root
device, takes away what EC2 puts into a group, marks all that it makes, and looks at all machines until they run.

The engine writes its whole state after every step, which grows with the square of the machines. What counts is a run
that writes it once (PULUMI_EXPERIMENTAL and PULUMI_SKIP_CHECKPOINTS; benchmarks only); by how much one that writes as
usual takes longer is told beside it, for up to 300 machines unless `--whole` is given. What processes need to start,
and a stack without machines, is measured apart on both sides. Each call takes `--delay` seconds longer than the
emulator needs: EC2 takes some tenths. Targets, for a stack with machines: at most 1.1 times the calls, and at most 1.5
times the script's seconds, the writing of state left out.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import boto3
from aws_plain import states, tagged
from botocore.config import Config
from provision_aws import emulator

THREADS = 32
"""Of the script; the plugin makes as many calls at a time, however many operations the engine runs."""

MOST_CALLS, MOST_SECONDS = 1.1, 1.5
MOST_WRITTEN = 300
"""More machines than these are made with the state written once alone."""

ONCE = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}
IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-default-x86_64"
STACK = """\
version: 1
platform: aws
networks:
  lan: {{cidr: 10.0.0.0/16}}
machines:
  web: {{image: micro, memory: 8GiB, cpus: 2, count: {count}, size: {{aws: m5.large}}, nics: [{{network: lan}}]}}
isolation:
  policies:
    in: {{kind: traffic, from: [outside], to: [machine.web], allow: [tcp/80]}}
"""


def plain(url: str, count: int) -> float:
    """Seconds of the script."""
    config = Config(max_pool_connections=THREADS)
    ec2, ssm = (
        boto3.client(one, region_name=emulator.REGION, endpoint_url=url, config=config) for one in ("ec2", "ssm")
    )
    begun = time.monotonic()
    left = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["plain"]}])["Tags"]
    if left:
        raise SystemExit(f"an earlier run has left {left[0]['ResourceId']}")
    zone = ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
    image = ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"]
    device = ec2.describe_images(ImageIds=[image])["Images"][0].get("RootDeviceName", "/dev/xvda")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tagged("vpc", "plain"))["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsSupport={"Value": False})
    subnet = ec2.create_subnet(
        VpcId=vpc, CidrBlock="10.0.0.0/16", AvailabilityZone=zone,
        TagSpecifications=tagged("subnet", "plain"),
    )["Subnet"]["SubnetId"]  # fmt: skip
    table = ec2.create_route_table(VpcId=vpc, TagSpecifications=tagged("route-table", "plain"))["RouteTable"]
    ec2.associate_route_table(RouteTableId=table["RouteTableId"], SubnetId=subnet)
    group = ec2.create_security_group(
        GroupName="plain", Description="plain", VpcId=vpc, TagSpecifications=tagged("security-group", "plain")
    )["GroupId"]
    anywhere = [{"CidrIp": "0.0.0.0/0"}]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[{"IpProtocol": "-1", "IpRanges": anywhere}])
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": anywhere}],
        TagSpecifications=tagged("security-group-rule", "plain"),
    )  # fmt: skip

    def one(number: int) -> None:
        address = f"10.0.{number // 250 + 1}.{number % 250 + 1}"
        nic = ec2.create_network_interface(
            SubnetId=subnet, PrivateIpAddress=address, Groups=[group],
            TagSpecifications=tagged("network-interface", address),
        )["NetworkInterface"]["NetworkInterfaceId"]  # fmt: skip
        ec2.run_instances(
            ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1,
            NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": nic}],
            BlockDeviceMappings=[{"DeviceName": device, "Ebs": {"VolumeType": "gp3", "Encrypted": True}}],
            MetadataOptions={"HttpTokens": "required", "HttpEndpoint": "disabled", "HttpPutResponseHopLimit": 1},
            TagSpecifications=tagged("instance", address),
        )  # fmt: skip

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        list(pool.map(one, range(count)))
    while not all(state == "running" for state in states(ec2, vpc)):
        time.sleep(1)
    return time.monotonic() - begun


class Project:
    """A stack of some machines, in folders of its own."""

    def __init__(self, directory: Path, home: Path, url: str) -> None:
        """Prepare its folders and the engine's home."""
        self._folder = directory / "many"
        self._folder.mkdir()
        (self._folder / "Pulumi.yaml").write_text("name: many\nruntime: provision\n")
        (directory / "state").mkdir()
        self._environment = os.environ | emulator.ENVIRONMENT | {
            "AWS_REGION": emulator.REGION,
            "AWS_ENDPOINT_URL": url,
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{directory / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "",
        }  # fmt: skip
        if not home.exists():
            self._command("setup")

    def holds(self, count: int) -> None:
        """From now on it is a stack of so many machines."""
        (self._folder / "stack.yaml").write_text(STACK.format(count=count))

    def run(self, verb: str, extra: dict[str, str]) -> float:
        """Seconds of a command."""
        begun = time.monotonic()
        self._command(verb, "--yes", str(self._folder), extra=extra)
        return time.monotonic() - begun

    def _command(self, *words: str, extra: dict[str, str] | None = None) -> None:
        program = str(Path(sysconfig.get_path("scripts"), "provision"))
        environment = self._environment | (extra or {})
        done = subprocess.run([program, *words], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{words[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


class Taken(NamedTuple):
    """Seconds of something, and the calls that it made."""

    seconds: float
    calls: Counter[str]


def measured(url: str, work: Callable[[], float]) -> Taken:
    """On an emulated EC2 with nothing on it."""
    emulator.reset(url)
    boto3.client("ec2", region_name=emulator.REGION, endpoint_url=url).describe_vpcs()  # makes what accounts have
    before = emulator.calls(url)
    seconds = work()
    return Taken(seconds, emulator.calls(url) - before)


def ours(directory: Path, url: str, count: int, extra: dict[str, str]) -> Taken:
    """`up` of a project that has made and removed a stack without machines: nothing that only a first run does."""
    with tempfile.TemporaryDirectory(dir=directory) as own:
        project = Project(Path(own), directory / "home", url)
        project.holds(0)
        project.run("up", ONCE)
        project.run("down", ONCE)
        project.holds(count)
        return measured(url, partial(project.run, "up", extra))


def measure(directory: Path, url: str, counts: list[int], most_written: int) -> bool:
    """Both, for a stack without machines and for each number of them; whether the targets are met."""
    met = True
    script, once, always = dict[int, Taken](), dict[int, Taken](), dict[int, Taken]()
    for count in [0, *counts]:
        script[count] = measured(url, partial(plain, url, count))
        once[count] = ours(directory, url, count, ONCE)
        if count <= most_written:
            always[count] = ours(directory, url, count, {})
        written = f"{always[count].seconds:.1f} s" if count in always else "not measured (--whole)"
        calls = once[count].calls.total() / script[count].calls.total()
        print(
            f"{count:5} machines: script {script[count].calls.total()} calls in {script[count].seconds:.1f} s; `up` "
            f"{once[count].calls.total()} calls ({calls:.3f} times) in {once[count].seconds:.1f} s with the state "
            f"written once, as it is written usually {written}; load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        for name, number in sorted((once[count].calls - script[count].calls).items(), key=lambda item: -item[1]):
            print(f"        {number:+} {name}")
        if not count:
            continue
        of_script = script[count].seconds - script[0].seconds
        of_ours = once[count].seconds - once[0].seconds
        print(
            f"        {once[count].seconds / script[count].seconds:.2f} times the script's seconds; beyond those of a "
            f"stack without machines: script {of_script:.1f} s, ours {of_ours:.1f} s"
            + (f" and {max(0.0, always[count].seconds - once[count].seconds):.1f} s of the engine's writing"
               if count in always else ""),
            flush=True,
        )  # fmt: skip
        met = met and calls <= MOST_CALLS and once[count].seconds <= MOST_SECONDS * script[count].seconds
    return met


def main() -> int:
    """Measure; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=[10, 100], metavar="N", help="How many machines.")
    parser.add_argument("--delay", type=float, default=0.2, help="Seconds by which each answer comes later.")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="Only runs that write the state once.")
    how.add_argument("--whole", action="store_true", help="Also runs of many machines that write it as usual.")
    arguments = parser.parse_args()
    most_written = max(arguments.counts) if arguments.whole else -1 if arguments.once else MOST_WRITTEN
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what an installer compiles is not to be compiled at each start
    os.environ.update(emulator.ENVIRONMENT)
    with tempfile.TemporaryDirectory() as made, emulator.running(Path(made), arguments.delay) as url:
        met = measure(Path(made), url, arguments.counts, most_written)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
