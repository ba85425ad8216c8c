"""What people do to a project by hand while a stack is there."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from provision.testing import Foreign

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8J0T5nQeYbK8XyzvW5pF0u1q2w3e4r5t6y7u8i9o0p kit@example.org"
IMAGE = "kit-base"
FLAVORS = ("kit-small", "kit-large")
EXTERNAL = "kit-outside"

_GOING_SECONDS = 120

_LISTINGS = (
    # in the order in which they can be removed
    ("compute", "/servers", "servers"),
    ("network", "/floatingips", "floatingips"),
    ("network", "/routers", "routers"),
    ("network", "/ports", "ports"),
    ("network", "/subnets", "subnets"),
    ("network", "/networks", "networks"),
    ("network", "/security-groups", "security_groups"),
    ("network", "/security-group-rules", "security_group_rules"),
    ("network", "/address-groups", "address_groups"),
    ("network", "/qos/policies", "policies"),
    ("block_storage", "/volumes", "volumes"),
    ("image", "/images", "images"),
    ("compute", "/os-server-groups", "server_groups"),
    ("compute", "/os-keypairs", "keypairs"),
    ("compute", "/flavors", "flavors"),
)
_KEPT = frozenset({"default", IMAGE, EXTERNAL, *FLAVORS})


class Project:
    """A project, reached by the SDK and without the plugin; its user may be an administrator."""

    def __init__(self, cloud: str | None) -> None:
        """Reach it, and see that what samples need is there."""
        import openstack

        self.cloud = openstack.connect(cloud=cloud)
        self._pool = ThreadPoolExecutor(5)
        self.project = self.cloud.current_project_id
        self.image = self._image()
        self.flavors = [self._flavor(name, size) for name, size in zip(FLAVORS, (64, 128), strict=True)]
        self.external = self._external()

    def call(self, service: str, method: str, path: str, body: Any = None) -> Any:
        """One call; the answer's body."""
        microversion = {"microversion": "2.64"} if service == "compute" else {}
        arguments = {"json": body} if body is not None else {}
        answer = getattr(self.cloud, service).request(path, method, **arguments, **microversion)
        if answer.status_code >= 400 and not (method == "DELETE" and answer.status_code == 404):
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json() if answer.content and "json" in answer.headers.get("Content-Type", "") else {}

    def look(self, service: str, path: str) -> Any:
        """All that is shown of an object; None when there is none."""
        answer = getattr(self.cloud, service).request(path, "GET")
        return answer.json() if answer.status_code == 200 else None

    def standing(self) -> Iterator[tuple[str, str, str]]:
        """Everything of the project: service, path and name."""
        for service, path, items in self._pool.map(self._listed, _LISTINGS):
            for item in items:
                one = item.get("keypair", item)
                name = str(one.get("name") or one.get("description") or "")
                if name in _KEPT or str(one.get("device_owner") or "").startswith(("network:", "compute:")):
                    continue
                yield service, f"{path}/{one.get('id') or one['name']}", name

    def _listed(self, listing: tuple[str, str, str]) -> tuple[str, str, list[Any]]:
        service, path, many = listing
        query = f"?project_id={self.project}" if service == "network" else ""
        query = f"?owner={self.project}" if service == "image" else query
        query = "/detail" if path == "/servers" else query
        items = self.call(service, "GET", path + query)[many]
        return service, path, [item for item in items if item.get("status") != "DELETED"]  # gone in a moment

    def clean(self) -> None:
        """Remove what `standing` shows and the kit made, whatever is in the way of what."""
        deadline = time.monotonic() + _GOING_SECONDS
        while (left := [one for one in self.standing() if one[2].startswith("kit")]) and time.monotonic() < deadline:
            for service, path, _ in left:
                with contextlib.suppress(RuntimeError):
                    self._remove(service, path)
            time.sleep(0.5)

    def _remove(self, service: str, path: str) -> None:
        if path.startswith("/routers/"):
            router = path.rpartition("/")[2]
            for port in self.call("network", "GET", f"/ports?device_id={router}")["ports"]:
                body = {"port_id": port["id"]}
                with contextlib.suppress(RuntimeError):
                    self.call("network", "PUT", f"{path}/remove_router_interface", body)
        if path.startswith("/servers/"):
            with contextlib.suppress(RuntimeError):
                self.call("compute", "POST", f"{path}/action", {"unlock": None})
        self.call(service, "DELETE", path)

    def _image(self) -> str:
        found = self.call("image", "GET", f"/images?name={IMAGE}")["images"]
        if not found:
            made = self.call(
                "image", "POST", "/images", {"name": IMAGE, "disk_format": "raw", "container_format": "bare"}
            )
            self.cloud.image.request(
                f"/images/{made['id']}/file", "PUT", data=b"\0" * 65536,
                headers={"Content-Type": "application/octet-stream"},
            )  # fmt: skip
            found = [made]
        return str(found[0]["id"])

    def _flavor(self, name: str, memory: int) -> str:
        for flavor in self.call("compute", "GET", "/flavors/detail")["flavors"]:
            if flavor["name"] == name:
                return str(flavor["id"])
        body = {"flavor": {"name": name, "ram": memory, "vcpus": 1, "disk": 1}}
        return str(self.call("compute", "POST", "/flavors", body)["flavor"]["id"])

    def _external(self) -> str:
        found = self.call("network", "GET", f"/networks?name={EXTERNAL}")["networks"]
        if not found:
            body = {"network": {"name": EXTERNAL, "router:external": True}}
            found = [self.call("network", "POST", "/networks", body)["network"]]
            subnet = {"network_id": found[0]["id"], "ip_version": 4, "cidr": "198.51.100.0/24", "name": EXTERNAL}
            self.call("network", "POST", "/subnets", {"subnet": {**subnet, "enable_dhcp": False}})
        return str(found[0]["id"])


def alike(
    service: str, path: str, one: str, body: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> Callable[[Project, Mapping[str, Any]], Foreign]:
    """An object by hand as like the wanted one as the service lets there be."""

    def foreign(project: Project, inputs: Mapping[str, Any]) -> Foreign:
        made = project.call(service, "POST", path, {one: dict(body(inputs))} if one else dict(body(inputs)))
        live = made[one] if one else made
        where = f"{path}/{live.get('id') or live['name']}"
        return Foreign(
            look=lambda: project.look(service, where),
            remove=lambda: project.call(service, "DELETE", where),
            id=str(live.get("id") or live["name"]),
        )

    return foreign


foreign_network = alike("network", "/networks", "network", lambda inputs: {"name": inputs["name"]})
foreign_router = alike("network", "/routers", "router", lambda inputs: {"name": inputs["name"]})
foreign_group = alike("network", "/security-groups", "security_group", lambda inputs: {"name": inputs["name"]})
foreign_addresses = alike(
    "network", "/address-groups", "address_group",
    lambda inputs: {"name": inputs["name"], "addresses": inputs["addresses"]},
)  # fmt: skip
foreign_qos = alike("network", "/qos/policies", "policy", lambda inputs: {"name": inputs["name"]})
foreign_port = alike(
    "network", "/ports", "port",
    lambda inputs: {
        "network_id": inputs["networkId"],
        "name": inputs["name"],
        "fixed_ips": [{"ip_address": inputs["fixedIps"][0]["ipAddress"]}],
    },
)  # fmt: skip
foreign_rule = alike(
    "network", "/security-group-rules", "security_group_rule",
    lambda inputs: {
        "security_group_id": inputs["securityGroupId"],
        "direction": inputs["direction"],
        "ethertype": inputs["ethertype"],
        "protocol": inputs["protocol"],
        "port_range_min": inputs["portRangeMin"],
        "port_range_max": inputs["portRangeMax"],
        "remote_ip_prefix": inputs["remoteIpPrefix"],
    },
)  # fmt: skip
foreign_key = alike("compute", "/os-keypairs", "keypair", lambda inputs: {"name": inputs["name"], "public_key": KEY})
foreign_server_group = alike(
    "compute", "/os-server-groups", "server_group", lambda inputs: {"name": inputs["name"], "policy": inputs["policy"]}
)
foreign_flavor = alike(
    "compute", "/flavors", "flavor", lambda inputs: {"name": inputs["name"], "ram": 64, "vcpus": 1, "disk": 0}
)
foreign_subnet = alike(
    "network", "/subnets", "subnet",
    lambda inputs: {"network_id": inputs["networkId"], "name": "kit-other", "ip_version": 4, "cidr": inputs["cidr"]},
)  # fmt: skip
foreign_floating = alike(
    "network", "/floatingips", "floatingip",
    lambda inputs: {
        "floating_network_id": inputs["floatingNetworkId"],
        "floating_ip_address": inputs["floatingIpAddress"],
    },
)  # fmt: skip
foreign_image = alike(
    "image", "/images", "",
    lambda inputs: {"name": inputs["name"], "disk_format": "raw", "container_format": "bare"},
)  # fmt: skip


def foreign_volume(project: Project, inputs: Mapping[str, Any]) -> Foreign:
    """A volume of the same name, which is ready."""
    return _volume(project, {"name": inputs["name"], "size": 1})


def foreign_server(project: Project, inputs: Mapping[str, Any]) -> Foreign:
    """A server of the same name, which runs."""
    identity = _server(project, str(inputs["name"]))
    where = f"/servers/{identity}"
    # What Nova counts and when it looked say nothing of the server.
    return Foreign(look=lambda: _shown(project, where), remove=lambda: _removed(project, where), id=identity)


def foreign_interface(project: Project, inputs: Mapping[str, Any]) -> Foreign:
    """Another router at the subnet's gateway address."""
    body = {"router": {"name": "kit-other-router"}}
    where = f"/routers/{project.call('network', 'POST', '/routers', body)['router']['id']}"
    subnet = {"subnet_id": inputs["subnetId"]}
    project.call("network", "PUT", f"{where}/add_router_interface", subnet)

    def remove() -> None:
        project.call("network", "PUT", f"{where}/remove_router_interface", subnet)
        project.call("network", "DELETE", where)

    return Foreign(look=lambda: project.look("network", f"/ports?device_id={where.rpartition('/')[2]}"), remove=remove)


def foreign_attachment(project: Project, inputs: Mapping[str, Any]) -> Foreign:
    """Another server has the volume."""
    where = f"/servers/{_server(project, 'kit-other-server')}"
    volume = str(inputs["volumeId"])
    body = {"volumeAttachment": {"volumeId": volume}}
    project.call("compute", "POST", f"{where}/os-volume_attachments", body)
    _until(lambda: _volume_status(project, volume) == "in-use")

    def remove() -> None:
        project.call("compute", "DELETE", f"{where}/os-volume_attachments/{volume}")
        _until(lambda: _volume_status(project, volume) == "available")
        _removed(project, where)

    return Foreign(look=lambda: project.look("compute", f"{where}/os-volume_attachments"), remove=remove)


def _volume(project: Project, body: Mapping[str, Any]) -> Foreign:
    identity = project.call("block_storage", "POST", "/volumes", {"volume": dict(body)})["volume"]["id"]
    where = f"/volumes/{identity}"
    _until(lambda: _volume_status(project, identity) == "available")
    return Foreign(
        look=lambda: project.look("block_storage", where),
        remove=lambda: project.call("block_storage", "DELETE", where),
        id=str(identity),
    )


def _volume_status(project: Project, identity: str) -> str:
    return str(project.look("block_storage", f"/volumes/{identity}")["volume"]["status"])


def _server(project: Project, name: str) -> str:
    body = {"name": name, "flavorRef": project.flavors[0], "imageRef": project.image, "networks": "none"}
    identity = str(project.call("compute", "POST", "/servers", {"server": body})["server"]["id"])
    _until(lambda: project.look("compute", f"/servers/{identity}")["server"]["status"] == "ACTIVE")
    return identity


def _shown(project: Project, where: str) -> Any:
    server = project.look("compute", where)
    return server and {name: server["server"][name] for name in ("id", "name", "status", "metadata", "created")}


def _removed(project: Project, where: str) -> None:
    project.call("compute", "DELETE", where)
    _until(lambda: project.look("compute", where) is None)


def _until(holds: Callable[[], bool]) -> None:
    """Wait for something that a cloud takes its time for.

    Raises:
        RuntimeError: it does not come to be.
    """
    deadline = time.monotonic() + _GOING_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError("the cloud did not do in time what the kit asked for by hand")
        time.sleep(0.2)
