"""What somebody writes who has openstacksdk and an afternoon: servers on a network, each over a port of its own.

The yardstick of openstack_calls.py, and nothing of the project is imported.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

LOOK_SECONDS = 1.0


def make(cloud: Any, image: str, flavor: str, addresses: list[str], threads: int) -> list[str]:
    """A network, a subnet, a group with two rules, and a server with a port for each address; their ids."""
    network = cloud.network.create_network(name="plain", description="plain")
    subnet = cloud.network.create_subnet(
        network_id=network.id, name="plain", ip_version=4, cidr="10.0.0.0/16", gateway_ip=None, is_dhcp_enabled=False
    )
    group = cloud.network.create_security_group(name="plain", description="plain")
    for rule in group.security_group_rules:  # what Neutron lets out by itself
        cloud.network.delete_security_group_rule(rule["id"])
    for direction in ("ingress", "egress"):
        cloud.network.create_security_group_rule(
            security_group_id=group.id, direction=direction, ether_type="IPv4", protocol="tcp",
            port_range_min=80, port_range_max=80, remote_ip_prefix="10.0.0.0/8",
        )  # fmt: skip

    def one(address: str) -> str:
        port = cloud.network.create_port(
            network_id=network.id,
            name=f"plain-{address}",
            fixed_ips=[{"subnet_id": subnet.id, "ip_address": address}],
            security_group_ids=[group.id],
        )
        server = cloud.compute.create_server(
            name=f"plain-{address}", image_id=image, flavor_id=flavor, networks=[{"port": port.id}],
            config_drive=True, metadata={"plain": "yes"},
        )  # fmt: skip
        return str(server.id)

    with ThreadPoolExecutor(max_workers=threads) as pool:
        servers = list(pool.map(one, addresses))
    wait(cloud, set(servers))
    return servers


def wait(cloud: Any, servers: set[str]) -> None:
    """Wait until all of them run: one look a second at all."""
    while True:
        there = {server.id: server.status for server in cloud.compute.servers() if server.id in servers}
        if any(status == "ERROR" for status in there.values()):
            raise SystemExit("a server is in ERROR")
        if all(there.get(server) == "ACTIVE" for server in servers):
            return
        time.sleep(LOOK_SECONDS)


def clean(cloud: Any) -> None:
    """Remove everything of the project, whoever made it."""
    project = {"project_id": cloud.current_project_id}
    for server in cloud.compute.servers(details=False):
        cloud.compute.delete_server(server, ignore_missing=True)
    while list(cloud.compute.servers(details=False)):
        time.sleep(LOOK_SECONDS)
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(cloud.network.delete_port, list(cloud.network.ports(**project))))
    for network in cloud.network.networks(**project):
        cloud.network.delete_network(network)
    for group in cloud.network.security_groups(**project):
        if group.name != "default":
            cloud.network.delete_security_group(group)
