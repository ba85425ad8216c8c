"""Calls to EC2 for many machines: ours beside a plain boto3 script that makes the same, and those of a refresh.

    python benchmarks/aws_calls.py [N ...]

EC2 is the emulated one of the plugin's tests, over HTTP, started before and stopped after; each of the two begins on an
empty one. Ours is the plugin without the engine, whose writing of state is thousand.py's matter: the same objects are
made, each by its own type with marker, read-back and waiting, as many at a time as the engine's `--parallel` may say.

Targets, from 10 machines on: at most 1.1 times the calls of the plain script, and from 100 on 1.5 times its seconds:
while machines start, ours waits a moment for more of them, to look at all by one call, and the emulator starts them in
no time. A stack has two looks more, whatever is in it, for what interrupted runs left. A refresh of all objects costs
as many calls as there are pages of each kind.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import aws_plain
import boto3
from botocore.client import BaseClient
from botocore.config import Config
from direct import Direct
from provision_aws import emulator
from provision_aws.config import AwsConfig
from provision_aws.resources import Instance, NetworkInterface, SecurityGroup, SecurityGroupRule, Subnet, Vpc
from provision_aws.session import Session

THREADS, PARALLEL = 32, 64
"""Calls at a time of the plain script; operations at a time of ours, of which most wait."""

MOST_CALLS, FEWEST_FOR_CALLS = 1.1, 10
MOST_SECONDS, FEWEST_FOR_SECONDS = 1.5, 100


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Every call that is made meanwhile."""
    calls: Counter[str] = Counter()
    lock, usual = threading.Lock(), BaseClient._make_api_call  # type: ignore[attr-defined]

    def count(client: Any, operation: str, parameters: Any) -> Any:
        with lock:
            calls[operation] += 1
        return usual(client, operation, parameters)

    BaseClient._make_api_call = count  # type: ignore[attr-defined]
    try:
        yield calls
    finally:
        BaseClient._make_api_call = usual  # type: ignore[attr-defined]


class Ours:
    """The plugin, without the engine."""

    def __init__(self, url: str, image: str) -> None:
        """Connect."""
        self._url, self._image = url, image
        self._session = self._connected()
        self._types = Direct("aws", PARALLEL)

    def _connected(self) -> Session:
        return Session(AwsConfig(region=emulator.REGION, endpoint_url=self._url))

    def _make(self, kind: Any, name: str, /, **inputs: Any) -> str:
        return self._types.make(self._session, kind, name, name=name, **inputs)

    def make(self, zone: str, addresses: list[str]) -> None:
        """The same as the plain script."""
        vpc = self._make(Vpc, "vpc", cidr_block="10.0.0.0/16")
        subnet = self._make(Subnet, "subnet", vpc_id=vpc, cidr_block="10.0.0.0/16", availability_zone=zone)
        group = self._make(SecurityGroup, "group", vpc_id=vpc, group_name="bench")
        for direction in ("ingress", "egress"):
            ports = {"ip_protocol": "tcp", "from_port": 80, "to_port": 80, "cidr_ipv4": "10.0.0.0/8"}
            self._make(SecurityGroupRule, direction, security_group_id=group, direction=direction, **ports)

        def one(address: str) -> None:
            nic = self._make(
                NetworkInterface, f"nic-{address}",
                subnet_id=subnet, private_ip_address=address, security_group_ids=[group],
            )  # fmt: skip
            nics = [{"network_interface_id": nic}]
            self._make(Instance, address, image_id=self._image, instance_type="m5.large", nics=nics)

        self._types.together(one, addresses)

    def refresh(self) -> None:
        """Look at everything, as another process."""
        session = self._connected()
        self._types.read(session)
        session.close()


def measure(count: int) -> bool:
    """Both, one after the other; whether the targets are met."""
    addresses = [str(IPv4Address("10.0.1.0") + number) for number in range(count)]
    zone = f"{emulator.REGION}a"
    with tempfile.TemporaryDirectory() as directory, emulator.running(Path(directory)) as url:
        config = Config(max_pool_connections=THREADS)
        ec2 = boto3.client("ec2", region_name=emulator.REGION, endpoint_url=url, config=config)
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        ec2.describe_vpcs()
        with counted() as plain:
            begun = time.monotonic()
            aws_plain.make(ec2, zone, image, addresses, THREADS)
            plain_seconds = time.monotonic() - begun
        emulator.reset(url)
        ours = Ours(url, image)
        ec2.describe_vpcs()
        with counted() as own:
            begun = time.monotonic()
            ours.make(zone, addresses)
            own_seconds = time.monotonic() - begun
        with counted() as looked:
            begun = time.monotonic()
            ours.refresh()
            looked_seconds = time.monotonic() - begun
    calls, seconds = own.total() / plain.total(), own_seconds / plain_seconds
    print(
        f"{count:5} machines: plain {plain.total()} calls in {plain_seconds:.1f} s; ours {own.total()} calls in "
        f"{own_seconds:.1f} s: {calls:.3f} times the calls, {seconds:.2f} times the seconds; "
        f"refresh of {2 * count + 5} objects {looked.total()} calls in {looked_seconds:.1f} s"
    )
    for name, number in sorted((own - plain).items(), key=lambda item: -item[1]):
        print(f"        {number:+} {name}")
    return (calls <= MOST_CALLS or count < FEWEST_FOR_CALLS) and (seconds <= MOST_SECONDS or count < FEWEST_FOR_SECONDS)


def main() -> int:
    """Measure; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=[10, 100, 1000], metavar="N", help="How many machines.")
    os.environ.update(emulator.ENVIRONMENT)
    met = [measure(count) for count in parser.parse_args().counts]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
