"""EC2's wire protocol on this machine: the moto server, with a few things that EC2 does and moto does not.

These are placement groups, and refusals of what is taken already.

`python -m provision_aws.emulator PORT` serves on the loopback interface until it is ended. It holds no machines: it
answers as EC2 does. `GET /standing` gives the ids of all that was made, as JSON, in one answer, `GET /calls` what was
asked for how often.
"""

import io
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from provision.errors import EnvironmentProblem

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What a client of it needs: any credentials will do."""

REGION = "eu-central-1"
_START_SECONDS = 60
_ROOT_GIB = 8


@contextmanager
def running(directory: Path, delay: float = 0.0) -> Iterator[str]:
    """A server of its own, with nothing on it but what every account has; its URL.

    Args:
        directory: for its log.
        delay: seconds by which it answers later than it could, as EC2 does.

    Raises:
        EnvironmentProblem: it cannot be started.
    """
    port = _free_port()
    log = directory / "emulator.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "provision_aws.emulator", str(port), str(delay)],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(process, url, log)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def standing(url: str) -> list[str]:
    """Ids of everything that was made on a server."""
    with urllib.request.urlopen(f"{url}/standing", timeout=30) as answer:
        found: list[str] = json.load(answer)
    return found


def calls(url: str) -> Counter[str]:
    """How often each action was asked for since the last reset, whoever asked."""
    with urllib.request.urlopen(f"{url}/calls", timeout=30) as answer:
        return Counter(json.load(answer))


def reset(url: str) -> None:
    """Take everything off a server."""
    request = urllib.request.Request(f"{url}/moto-api/reset", method="POST")
    with urllib.request.urlopen(request, timeout=60):
        pass


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            standing(url)
            return
        except OSError:
            time.sleep(0.1)
    tail = log.read_text(errors="replace")[-2000:]
    raise EnvironmentProblem(f"the emulated EC2 did not start: {tail}", "pip install 'moto[ec2,server]'")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


# --- in the server's process


def serve(port: int, delay: float = 0.0) -> None:
    """Serve until the process is ended, or whoever started it: then its standard input closes."""
    import logging

    from moto.ec2.models import ec2_backends
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    _add_placement_groups()
    _free_with_nat_gateways()
    _refuse_what_is_taken()
    _size_as_images_do()
    _take_protocols_without_ports()
    _tell_descriptions_of_references()
    _tell_states_of_ranges()
    _let_ipv6_through_default_lists()
    application = DomainDispatcherApplication(create_backend_app)
    calls: Counter[str] = Counter()
    tells: dict[str, Callable[[], Any]] = {"/standing": lambda: _standing(ec2_backends), "/calls": lambda: dict(calls)}
    one_by_one = threading.Lock()  # moto breaks now and then when it works on two calls at once

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        if told := tells.get(str(environ.get("PATH_INFO"))):
            body = json.dumps(told()).encode()
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        time.sleep(delay)
        with one_by_one:
            if environ.get("PATH_INFO") == "/moto-api/reset":
                calls.clear()
            elif asked := _action(environ):
                calls[asked] += 1
            return application(environ, start_response)

    def end_with_owner() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=end_with_owner, daemon=True).start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    run_simple("127.0.0.1", port, answer, threaded=True)


def _action(environ: dict[str, Any]) -> str:
    """What is asked for; the body can still be read afterwards."""
    if target := environ.get("HTTP_X_AMZ_TARGET", ""):
        return str(target).rpartition(".")[2]
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return str(urllib.parse.parse_qs(body.decode(errors="replace")).get("Action", [""])[0])


_GROUPS: dict[str, dict[str, Any]] = {}


def _standing(backends: Any) -> list[str]:
    found: list[str] = [f"placement group {name}" for name in _GROUPS]
    for account in list(backends.values()):
        for backend in list(account.values()):
            found += _of_region(backend)
    return sorted(found)


def _of_region(backend: Any) -> Iterator[str]:
    for name in ("vpcs", "internet_gateways", "egress_only_internet_gateways", "nat_gateways", "route_tables",
                 "enis", "managed_prefix_lists", "vpc_end_points", "volumes", "hosts", "keypairs"):  # fmt: skip
        for identity, item in list(getattr(backend, name, {}).items()):
            if getattr(item, "state", "") not in ("deleted", "delete-complete", "released"):
                yield f"{name} {identity}"
    for table in list(backend.route_tables.values()):
        yield from (f"route {table.id} {key}" for key in list(table.routes))
        yield from (f"association {table.id} {key}" for key in list(table.associations))
    yield from (f"subnet {identity}" for zone in list(backend.subnets.values()) for identity in list(zone))
    for groups in list(backend.groups.values()):
        for group in list(groups.values()):
            yield f"security group {group.id}"
            yield from (f"rule {rule.id}" for rule in (*group.ingress_rules, *group.egress_rules))
    for address in list(backend.addresses):
        yield f"address {address.allocation_id} {address.association_id}"
    for volume in list(backend.volumes.values()):
        if volume.attachment:
            yield f"attachment {volume.id}"
    for reservation in list(backend.reservations.values()):
        yield from (f"machine {one.id}" for one in reservation.instances if one.state != "terminated")


def _add_placement_groups() -> None:
    """Three calls as EC2's API reference has them; botocore's model of the service gives the answers their form."""
    from moto.core.responses import ActionResult
    from moto.ec2 import responses
    from moto.ec2.exceptions import EC2ClientError

    kind: Any = responses.EC2Response

    def create(self: Any) -> Any:
        name = self._get_param("GroupName")
        if name in _GROUPS:
            raise EC2ClientError("InvalidPlacementGroup.Duplicate", f"The placement group {name!r} already exists")
        tags = self._parse_tag_specification().get("placement-group", {})
        strategy = self._get_param("Strategy")
        group = {
            "GroupName": name,
            "GroupId": f"pg-{secrets.token_hex(8)}",
            "State": "available",
            "Strategy": strategy,
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
        if strategy == "partition":
            group["PartitionCount"] = self._get_int_param("PartitionCount")
        if strategy == "spread":
            group["SpreadLevel"] = self._get_param("SpreadLevel") or "rack"
        _GROUPS[name] = group
        return ActionResult({"PlacementGroup": group})

    def delete(self: Any) -> Any:
        if _GROUPS.pop(self._get_param("GroupName"), None) is None:
            raise EC2ClientError("InvalidPlacementGroup.Unknown", "The placement group is unknown")
        return ActionResult({"Return": True})

    def describe(self: Any) -> Any:
        ids, filters = self._get_param("GroupIds", []), self._filters_from_querystring()
        known = {group["GroupId"] for group in _GROUPS.values()}
        if unknown := [one for one in ids if one not in known]:
            raise EC2ClientError("InvalidPlacementGroup.Unknown", f"The placement group {unknown[0]!r} is unknown")
        found = [group for group in _GROUPS.values() if not ids or group["GroupId"] in ids]
        return ActionResult({"PlacementGroups": [group for group in found if _matches(group, filters)]})

    kind.create_placement_group = create
    kind.delete_placement_group = delete
    kind.describe_placement_groups = describe
    _tag_placement_groups()


def _free_with_nat_gateways() -> None:
    """A NAT gateway that is deleted lets go of its address and interface, which moto forgets."""
    from moto.ec2.models import nat_gateways

    backend: Any = nat_gateways.NatGatewayBackend
    usual = backend.delete_nat_gateway

    def delete(self: Any, nat_gateway_id: str) -> Any:
        gateway = usual(self, nat_gateway_id)
        interface = gateway._eni
        for address in self.addresses:
            if address.eni is interface:
                self.disassociate_address(association_id=address.association_id)
        if interface.id in self.enis:
            self.delete_network_interface(interface.id)
        return gateway

    backend.delete_nat_gateway = delete


def _refuse_what_is_taken() -> None:
    """Addresses, subnets and volumes have one user at a time; moto takes them away from the first, or breaks."""
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models import elastic_block_store, route_tables, subnets

    volumes: Any = elastic_block_store.EBSBackend
    tables: Any = route_tables.RouteBackend
    ranges: Any = subnets.Subnet
    attach, associate, request = volumes.attach_volume, tables.associate_route_table, ranges.request_ip

    def attach_one(self: Any, volume_id: str, *rest: Any, **more: Any) -> Any:
        volume = self.volumes.get(volume_id)
        if volume is not None and volume.attachment is not None:
            raise EC2ClientError("VolumeInUse", f"{volume_id} is already attached to an instance")
        return attach(self, volume_id, *rest, **more)

    def associate_one(self: Any, route_table_id: str, gateway_id: Any = None, subnet_id: Any = None) -> Any:
        for table in self.route_tables.values():
            if table.id != route_table_id and subnet_id is not None and subnet_id in table._associations.values():
                raise EC2ClientError("Resource.AlreadyAssociated", "the specified association conflicts with another")
        return associate(self, route_table_id, gateway_id, subnet_id)

    def request_one(self: Any, ip: str, instance: Any) -> Any:
        if ip in self._subnet_ips:
            raise EC2ClientError("InvalidIPAddress.InUse", f"Address {ip} is in use.")
        return request(self, ip, instance)

    volumes.attach_volume, tables.associate_route_table, ranges.request_ip = attach_one, associate_one, request_one


def _size_as_images_do() -> None:
    """A root disk of no size is as large as the image says; moto refuses it."""
    from moto.ec2.responses import instances

    kind: Any = instances.InstanceResponse
    check = kind._validate_block_device_mapping

    def check_sized(mapping: dict[str, Any]) -> None:
        disk = mapping.get("Ebs")
        if isinstance(disk, dict) and not disk.get("SnapshotId"):
            disk.setdefault("VolumeSize", _ROOT_GIB)
        check(mapping)

    kind._validate_block_device_mapping = staticmethod(check_sized)


def _take_protocols_without_ports() -> None:
    """Rules for protocols by number, such as SCTP, have no ports; moto breaks without."""
    from moto.ec2.models import security_groups

    kind: Any = security_groups.SecurityGroupRule
    usual = kind.__init__

    def made(
        self: Any, backend: Any, protocol: Any, group: Any, first: Any, last: Any, *rest: Any, **more: Any
    ) -> None:
        usual(
            self, backend, protocol, group, -1 if first is None else first, -1 if last is None else last, *rest, **more
        )

    kind.__init__ = made


def _tell_descriptions_of_references() -> None:
    """A rule that refers to a group has a description too; moto tells that of ranges alone."""
    from moto.ec2.models import security_groups

    kind: Any = security_groups.SecurityGroupRule
    kind.description = property(
        lambda self: self.ip_range.get("Description") or (self.source_group or {}).get("Description")
    )


def _tell_states_of_ranges() -> None:
    """The state of a subnet's IPv6 range is a word; moto tells a structure as text."""
    from moto.ec2.models import subnets

    kind: Any = subnets.Subnet
    usual = kind.ipv6_cidr_block_association_set.fget
    kind.ipv6_cidr_block_association_set = property(
        lambda self: [one | {"ipv6CidrBlockState": {"state": "associated"}} for one in usual(self)]
    )


def _let_ipv6_through_default_lists() -> None:
    """A VPC that is given IPv6 gets entries for it in its default network ACL, as Amazon documents; moto adds none."""
    from moto.ec2.models import network_acls

    lists: Any = network_acls.NetworkAclBackend
    describe = lists.describe_network_acls

    def describe_with_ipv6(self: Any, *given: Any, **more: Any) -> Any:
        for one in list(self.network_acls.values()):
            known = any(entry.ipv6_cidr_block for entry in one.network_acl_entries)
            if one.default and not known and self.get_vpc(one.vpc_id).get_cidr_block_association_set(ipv6=True):
                for egress in (True, False):
                    for number, action in ((101, "allow"), (32768, "deny")):
                        self.create_network_acl_entry(
                            one.id, number, "-1", action, egress, None, None, None, None, None, "::/0"
                        )
        return describe(self, *given, **more)

    lists.describe_network_acls = describe_with_ipv6


def _matches(group: dict[str, Any], filters: dict[str, Any]) -> bool:
    tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
    return all(tags.get(key.removeprefix("tag:")) in values for key, values in filters.items())


def _tag_placement_groups() -> None:
    from moto.ec2 import responses

    kind: Any = responses.EC2Response
    usual = {name: getattr(kind, name) for name in ("create_tags", "delete_tags")}

    def change(self: Any, name: str) -> Any:
        ids = self._get_param("ResourceId", []) or self._get_param("Resources", [])
        group = next((group for group in _GROUPS.values() if group["GroupId"] in ids), None)
        if group is None:
            return usual[name](self)
        from moto.core.responses import EmptyResult

        given = {tag["Key"]: tag.get("Value", "") for tag in self._get_param("Tags", [])}
        tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
        tags = tags | given if name == "create_tags" else {key: tags[key] for key in tags if key not in given}
        group["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
        return EmptyResult()

    kind.create_tags = lambda self: change(self, "create_tags")
    kind.delete_tags = lambda self: change(self, "delete_tags")


if __name__ == "__main__":
    serve(int(sys.argv[1]), *map(float, sys.argv[2:]))
