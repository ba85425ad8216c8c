"""What is read of the hypervisor's host for evidence: once for all machines of one look, and anew for the next look."""

from types import SimpleNamespace
from typing import Any

from provision_libvirt.evidence.look import Look
from provision_libvirt.evidence.packets import closed_to_host
from provision_libvirt.resources.host_closed import changed
from provision_libvirt.resources.network_model import NetworkInputs

from provision.models import NoHostAccessPolicy
from provision.spi import Evidence, NativeState

NETWORK = NetworkInputs.model_validate(
    {
        "stack_id": "s", "pool": "p", "name": "lan", "bridge": "pv0123456789", "mode": "routed",
        "host_addresses": ["192.0.2.1"], "ipv4": {"address": "10.1.0.1", "prefix": 24},
    }
)  # fmt: skip
POLICY = NoHostAccessPolicy.model_validate({"kind": "no_host_access", "machines": ["machine.*"]})
EMPTY = "*mangle\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"


class Host:
    """A kernel that tells its tables and counts how often."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.closed = True

    def run(self, tool: str, *words: str) -> str:
        self.asked.append(tool)
        family = 6 if tool.startswith("ip6") else 4
        return changed(EMPTY, family, NETWORK).replace("-I", "-A") if self.closed else EMPTY


def look(host: Host, kept: dict[Any, Any]) -> list[bool | None]:
    """What two machines of one look show of the host."""
    shared = (NativeState("network:Network", "networks/lan", "1", {}, NETWORK.model_dump()),)
    found = []
    for name in ("web", "db"):
        machine: Any = SimpleNamespace(name=name)
        view: Any = host
        recorded = {"nics": [{"network": "lan"}]}
        one = Look(None, machine, None, {}, recorded, view, shared, kept, {"filters": (True, "as written")})
        found += [shown.holds for shown in closed_to_host(one, POLICY) if shown.kind is Evidence.EFFECTIVE]
    return found


def test_the_kernels_tables_are_read_once_for_all_machines_of_a_look_and_anew_for_the_next() -> None:
    host = Host()
    assert look(host, {}) == [True, True]
    assert sorted(host.asked) == ["ip6tables-save", "iptables-save"]
    host.closed = False
    assert look(host, {}) == [False, False]
    assert len(host.asked) == 4
