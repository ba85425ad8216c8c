"""The conformance kit on a cloud: `provision plugin check openstack`, and the plugin's tests.

It works in the project of the cloud that OS_CLOUD names, whose user must be an administrator (flavors), and removes
whatever is called `kit` and something there.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from provision.testing import ConformanceSuite, Effect, Faults, Made, Platform, Sample
from provision_openstack import conformance_hands as hands
from provision_openstack.errors import ApiError
from provision_openstack.provider import OpenStackProvider
from provision_openstack.session import Session

_NETWORK, _SUBNET, _ROUTER, _PORT = "network:Network", "network:Subnet", "network:Router", "network:Port"
_GROUP, _VOLUME, _SERVER = "network:SecurityGroup", "volume:Volume", "compute:Server"
_CONTENT = b"kit" * 1000
_SECONDS = 240.0
"""For one operation: clouds take their time, and small ones that are busy take more."""

_known: dict[str, Any] = {}
"""What samples need of the cloud, once it is reached."""


def _refusal(status: int, text: str = "injected", **more: Any) -> Callable[[], Exception]:
    return lambda: ApiError("injected", "POST", "/injected", status, text, **more)


def _of(need: str, field: str, /, **inputs: Any) -> Callable[[Mapping[str, Made]], dict[str, Any]]:
    return lambda made: {field: made[need].id, **inputs}


def _port(made: Mapping[str, Made]) -> dict[str, Any]:
    return {
        "name": "kit-port",
        "network_id": made[_NETWORK].id,
        "fixed_ips": [{"subnet_id": made[_SUBNET].id, "ip_address": "10.20.1.20"}],
        "security_group_ids": [made[_GROUP].id],
    }


def _rule(made: Mapping[str, Made]) -> dict[str, Any]:
    return {
        "security_group_id": made[_GROUP].id,
        "direction": "ingress",
        "ethertype": "IPv4",
        "protocol": "tcp",
        "port_range_min": 80,
        "port_range_max": 80,
        "remote_ip_prefix": "10.0.0.0/8",
        "description": "web",
    }


def _interface(made: Mapping[str, Made]) -> dict[str, Any]:
    return {"router_id": made[_ROUTER].id, "subnet_id": made[_SUBNET].id}


def _server(made: Mapping[str, Made]) -> dict[str, Any]:
    return {
        "name": "kit-server",
        "flavor_id": _known["flavors"][0],
        "image_id": _known["image"],
        "nics": [{"port_id": made[_PORT].id}],
        "user_data": "IyEvYmluL3NoCmVjaG8gaHVzaC1odXNoLWh1c2gK",
        "metadata": {"role": "web"},
    }


def _attachment(made: Mapping[str, Made]) -> dict[str, Any]:
    return {"server_id": made[_SERVER].id, "volume_id": made[_VOLUME].id}


def _image(made: Mapping[str, Made]) -> dict[str, Any]:
    return {
        "name": "kit-image",
        "path": _known["file"],
        "sha256": hashlib.sha256(_CONTENT).hexdigest(),
        "disk_format": "raw",
        "properties": {"hw_disk_bus": "virtio"},
    }


def _floating(made: Mapping[str, Made]) -> dict[str, Any]:
    chosen = {"floating_ip_address": "198.51.100.77"}  # only administrators may choose, and clouds have few of them
    return {"floating_network_id": _known["external"], "description": "kit", **chosen}


_SAMPLES = (
    Sample(
        _NETWORK,
        {"name": "kit-front", "description": "in front"},
        updates=[{"name": "kit-back"}, {"description": "behind"}, {"mtu": 1300}],
        wrong=[{"mtu": 1}],
        foreign=hands.foreign_network,
    ),
    Sample(
        _SUBNET,
        _of(_NETWORK, "network_id", name="kit-front", cidr="10.20.1.0/24", gateway_ip="10.20.1.1"),
        needs=[_NETWORK],
        updates=[{"gateway_ip": "10.20.1.254"}, {"dns_nameservers": ["10.20.1.53"]}],
        replaces=[{"cidr": "10.20.2.0/24", "gateway_ip": "10.20.2.1"}],
        wrong=[{"cidr": "10.20.1.1/24"}, {"gateway_ip": "fd00::1"}],
        foreign=hands.foreign_subnet,
    ),
    Sample(
        _ROUTER,
        {"name": "kit-router"},
        updates=[{"description": "to the world"}, lambda made: {"external_network_id": _known["external"]}],
        wrong=[{"enable_snat": True}],
        foreign=hands.foreign_router,
    ),
    Sample("network:RouterInterface", _interface, needs=[_ROUTER, _SUBNET], foreign=hands.foreign_interface),
    Sample(
        _GROUP,
        {"name": "kit-web"},
        updates=[{"name": "kit-db"}, {"exclusive": True}],
        replaces=[{"stateful": False}],
        foreign=hands.foreign_group,
        not_imported={"exclusive": "Neutron knows nothing of it"},
    ),
    Sample(
        "network:SecurityGroupRule",
        _rule,
        needs=[_GROUP],
        replaces=[{"direction": "egress"}, {"port_range_max": 81}],
        same=[{"remote_ip_prefix": "10.0.0.0/8"}],
        wrong=[{"port_range_min": 70000}, {"protocol": "47"}, {"remote_ip_prefix": "fd00::/8"}],
        foreign=hands.foreign_rule,
    ),
    Sample(
        "network:AddressGroup",
        {"name": "kit-offices", "addresses": ["10.0.0.0/8", "fd00::/8"]},
        updates=[{"addresses": ["10.0.0.0/8", "192.168.0.0/16"]}],
        wrong=[{"addresses": ["everywhere"]}],
        foreign=hands.foreign_addresses,
    ),
    Sample(
        "network:QosPolicy",
        {"name": "kit-slow", "bandwidth_limits": [{"direction": "egress", "max_kbps": 1000}]},
        updates=[
            {"bandwidth_limits": [{"direction": "egress", "max_kbps": 2000}]},
            {"bandwidth_limits": [{"direction": "ingress", "max_kbps": 1000, "max_burst_kbps": 100}], "dscp_mark": 8},
        ],
        wrong=[{"bandwidth_limits": [{"direction": "egress", "max_kbps": 0}]}],
        foreign=hands.foreign_qos,
    ),
    Sample(
        _PORT,
        _port,
        needs=[_NETWORK, _SUBNET, _GROUP],
        updates=[{"security_group_ids": []}, {"allowed_address_pairs": [{"ip_address": "10.20.1.99"}]}],
        wrong=[{"mac_address": "no"}, {"port_security_enabled": False}],
        foreign=hands.foreign_port,
    ),
    Sample(
        "network:FloatingIp",
        _floating,
        updates=[{"description": "other"}],
        foreign=hands.foreign_floating,
        not_imported={"floating_ip_address": "one that Neutron chose looks alike"},
    ),
    Sample(
        "compute:Keypair",
        {"name": "kit-key", "public_key": hands.KEY},
        replaces=[{"name": "kit-other-key"}],
        same=[{"public_key": hands.KEY.replace("kit@example.org", "somebody else")}],
        wrong=[{"public_key": "secret"}],
        foreign=hands.foreign_key,
    ),
    Sample(
        "compute:ServerGroup",
        {"name": "kit-apart", "policy": "anti-affinity", "max_server_per_host": 2},
        replaces=[{"policy": "affinity", "max_server_per_host": None}],
        wrong=[{"policy": "soft-affinity"}],
        foreign=hands.foreign_server_group,
    ),
    Sample(
        "compute:Flavor",
        {"name": "kit-flavor", "vcpus": 1, "ram_mib": 64, "extra_specs": {"hw:cpu_policy": "shared"}},
        updates=[{"extra_specs": {"hw:cpu_policy": "dedicated"}}, {"description": "for the kit"}],
        replaces=[{"ram_mib": 128}],
        wrong=[{"vcpus": 0}],
        foreign=hands.foreign_flavor,
    ),
    Sample(
        "image:Image",
        _image,
        updates=[{"min_ram_mib": 64}, {"properties": {"hw_disk_bus": "scsi"}}],
        wrong=[{"sha256": "0"}],
        foreign=hands.foreign_image,
        not_imported={"path": "Glance does not know where the content came from"},
    ),
    Sample(
        _VOLUME,
        {"name": "kit-data", "size_gib": 1, "metadata": {"team": "kit"}},
        updates=[{"metadata": {"team": "other"}}, {"description": "of the kit"}],
        wrong=[{"size_gib": 0}],
        foreign=hands.foreign_volume,
    ),
    Sample(
        _SERVER,
        _server,
        needs=[_NETWORK, _SUBNET, _GROUP, _PORT],
        updates=[
            {"metadata": {"role": "db"}},
            {"power": "stopped"},
            {"locked": True},
            lambda made: {"flavor_id": _known["flavors"][1]},
        ],
        replaces=[{"config_drive": False}],
        wrong=[{"image_id": None}, {"user_data": "%"}],
        volatile=["status", "hostId"],
        foreign=hands.foreign_server,
    ),
    Sample(
        "compute:VolumeAttachment",
        _attachment,
        needs=[_NETWORK, _SUBNET, _GROUP, _PORT, _SERVER, _VOLUME],
        foreign=hands.foreign_attachment,
    ),
)


class OpenStackConformance(ConformanceSuite):
    """Every check of the kit against the cloud that OS_CLOUD names."""

    provider = OpenStackProvider
    samples = tuple(replace(sample, seconds=_SECONDS) for sample in _SAMPLES)
    errors: ClassVar[Mapping[Effect, Callable[[], Exception]]] = {
        Effect.ERROR: _refusal(400),
        Effect.THROTTLED: _refusal(429, retry_after=0.1),
        Effect.TIMEOUT: _refusal(0),
        Effect.LOST_BEFORE: _refusal(0),
        Effect.LOST_AFTER: _refusal(0),
    }
    gaps: ClassVar[Mapping[str, str]] = {}
    platform_scope = "suite"
    calls_tried = 4
    cancel_seconds = 5.0  # a call that changes something is not left, and a busy cloud takes seconds to answer one

    def platform(self, directory: Path) -> Iterator[Platform]:
        """The project, with what samples need beside it."""
        cloud = os.environ.get("OS_CLOUD")
        project = hands.Project(cloud)
        file = directory / "image.raw"
        file.write_bytes(_CONTENT)
        _known.update(
            image=project.image, flavors=project.flavors, external=project.external, file=str(file), project=project
        )
        yield Platform(
            config={} if cloud is None else {"cloud": cloud},
            leftovers=lambda: [f"{path} {name}" for _, path, name in project.standing()],
            handle=project,
            clean=project.clean,
            wrong_configs=[
                {"cloud": "no-such-cloud"},
                *([{"cloud": cloud, "project_ids": ["nobodys"]}] if cloud is not None else []),
            ],
        )
        project.clean()

    def transport(self, session: Session, faults: Faults) -> Session:
        """Between the plugin and the services."""
        session.stand_between(faults.run)
        return session
