"""The conformance kit on a private hypervisor of its own: `provision plugin check libvirt`, and the plugin's tests."""

import fnmatch
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import libvirt

from provision.testing import (
    ConformanceSuite,
    Effect,
    Faults,
    FunctionSample,
    Made,
    Platform,
    Sample,
    StackSample,
)
from provision_libvirt import lab, micro
from provision_libvirt.conformance_hands import (
    Hypervisor,
    change_filter,
    foreign_domain,
    foreign_filter,
    foreign_network,
    foreign_pool,
    foreign_seed,
    foreign_volume,
    more_memory,
    paused_by_somebody,
    vanish_domain,
    vanish_volume,
)
from provision_libvirt.provider import LibvirtProvider
from provision_libvirt.session import Session

if TYPE_CHECKING:
    from provision.testing.conformance.cases import Case

_LOOKS_LOCALLY = frozenset(
    ("name", "UUIDString", "UUID", "key", "ID", "isAlive", "close", "setKeepAlive", "newStream", "connect")
)
_POOL, _NETWORK, _FILTER, _VOLUME, _SEED = (
    "storage:Pool", "network:Network", "nwfilter:Filter", "storage:Volume", "storage:Seed"
)  # fmt: skip
_KERNEL, _INITRD = "storage:Volume/kernel", "storage:Volume/initrd"


def _failure(code: int, text: str, domain: int = libvirt.VIR_FROM_QEMU) -> Callable[[], Exception]:
    def make() -> Exception:
        error = libvirt.libvirtError(text)
        error.err = (code, domain, text, libvirt.VIR_ERR_ERROR, "", None, None, -1, -1)
        return error  # type: ignore[no-any-return]

    return make


_LOST = _failure(libvirt.VIR_ERR_INTERNAL_ERROR, "client socket is closed", libvirt.VIR_FROM_RPC)


def _machine(made: Mapping[str, Made]) -> dict[str, Any]:
    return {
        "pool": made[_POOL].outputs["name"],
        "name": "kit-machine",
        "memory_mib": 96,
        "accelerator": "qemu",
        "disks": [{"path": made[_VOLUME].outputs["path"], "serial": "data"}],
        "seed": made[_SEED].outputs["path"],
        "nics": [
            {
                "network": made[_NETWORK].outputs["name"],
                "mac": "02:00:00:00:00:0a",
                "filter": made[_FILTER].outputs["name"],
            }
        ],
        "generations": [made[name].outputs["generation"] for name in (_VOLUME, _SEED, _NETWORK)],
        "power": "stopped",
    }


def _booting(made: Mapping[str, Made]) -> dict[str, Any]:
    return {
        "pool": made[_POOL].outputs["name"],
        "name": "kit-booting",
        "memory_mib": 96,
        "accelerator": "qemu",
        "kernel": made[_KERNEL].outputs["path"],
        "initrd": made[_INITRD].outputs["path"],
        "cmdline": micro.CMDLINE,
        "probe_channel": True,
        "ready": "channel",
    }


def _in_pool(**inputs: Any) -> Callable[[Mapping[str, Made]], dict[str, Any]]:
    return lambda made: {"pool": made[_POOL].outputs["name"], **inputs}


def _micro(kind: str) -> Callable[[Mapping[str, Made]], dict[str, Any]]:
    return lambda made: {
        "pool": made[_POOL].outputs["name"],
        "name": kind,
        "format": "raw",
        "cache": True,
        "source": {"kind": kind, "digest": micro.build().digest},
    }


_RULES = [
    {
        "action": "accept",
        "direction": "in",
        "priority": 100,
        "protocol": "tcp",
        "attributes": {"dstportstart": "80", "srcipaddr": "10.0.0.0", "srcipmask": "255.0.0.0"},
    },
    {"action": "drop", "direction": "inout", "priority": 900, "protocol": "all-ipv6"},
]
_HOST = {"mac": "02:00:00:00:00:0a", "ip": "10.77.0.10", "name": "web"}
_META = "instance-id: web\nlocal-hostname: web\n"

_SAMPLES = (
    Sample(
        _POOL,
        {"name": "kit-pool"},
        updates=[{"disposable": ["data.qcow2"]}],
        wrong=[{"name": "no/path"}],
        foreign=foreign_pool,
        not_imported={"disposable": "the hypervisor knows nothing of it"},
    ),
    Sample(
        _NETWORK,
        _in_pool(
            name="kit-front",
            bridge="kit-front",
            mode="routed",
            ipv4={"address": "10.77.0.1", "prefix": 24},
            ipv6={"address": "fd77::1", "prefix": 64},
            domain="front.test",
            dhcp_hosts=[_HOST],
        ),
        needs=[_POOL],
        updates=[
            {"dhcp_hosts": [_HOST | {"ip": "10.77.0.11"}]},
            {"dns_hosts": [{"ip": "10.77.0.10", "names": ["web", "www"]}]},
            {"dhcp_range": {"start": "10.77.0.100", "end": "10.77.0.110"}},
            {"host_addresses": ["192.0.2.1", "2001:db8::1"]},
        ],
        replaces=[{"mtu": 1300}],
        calls=4,
        wrong=[{"bridge": "a-name-that-is-much-too-long"}, {"mtu": 5}],
        foreign=foreign_network,
    ),
    Sample(
        _FILTER,
        _in_pool(name="kit-web", rules=_RULES),
        needs=[_POOL],
        updates=[{"rules": _RULES[:1]}, {"references": [{"filter": "no-ip-spoofing"}]}],
        replaces=[{"chain": "ipv4"}],
        wrong=[{"rules": [{"action": "shrug", "direction": "in"}]}, {"priority": 5000}],
        outside=change_filter,
        foreign=foreign_filter,
    ),
    Sample(
        _VOLUME,
        _in_pool(name="data.qcow2", capacity_bytes=16 << 20),
        needs=[_POOL],
        updates=[{"capacity_bytes": 32 << 20}],
        replaces=[{"format": "raw"}],
        wrong=[{"capacity_bytes": 0}, {"name": "no/path"}],
        foreign=foreign_volume,
        vanish=vanish_volume,
    ),
    Sample(_VOLUME, _micro("micro-kernel"), name="kernel", needs=[_POOL], calls=5),
    Sample(_VOLUME, _micro("micro-initrd"), name="initrd", needs=[_POOL]),
    Sample(
        _SEED,
        _in_pool(name="web", meta_data=_META, network_config="version: 2\n", user_data="password: hush-hush-hush"),
        needs=[_POOL],
        updates=[{"meta_data": _META + "x: y\n"}, {"user_data": "password: another-secret"}],
        wrong=[{"name": "no/path"}],
        foreign=foreign_seed,
        vanish=vanish_volume,
    ),
    Sample(
        "domain:Domain",
        _machine,
        needs=[_POOL, _NETWORK, _FILTER, _VOLUME, _SEED],
        updates=[{"memory_mib": 112}, {"vcpus": 2}, {"nics": []}],
        replaces=[{"machine": "pc"}],
        wrong=[{"memory_mib": 1}, {"nics": [{"network": "n", "mac": "nonsense"}]}],
        outside=more_memory,
        vanish=vanish_domain,
        foreign=foreign_domain,
    ),
    Sample(
        "domain:Domain",
        _booting,
        name="booting",
        needs=[_POOL, _KERNEL, _INITRD],
        updates=[{"power": "stopped"}],
        vanish=vanish_domain,
        unhealthy=paused_by_somebody,
        calls=2,
        seconds=90,
    ),
)


_STACK = """\
version: 1
platform: libvirt
networks:
  front: {cidr: 10.20.1.0/24, cidr6: "fd00:20:1::/64", internet: routed}
  back: {cidr: 10.20.2.0/24, internet: routed, mtu: 1400}
machines:
  web:
    image: micro
    count: 2
    memory: 96MiB
    nics: [{network: front}]
    labels: {tier: front}
    ready_timeout: 90s
  db:
    image: micro
    cpus: 2
    memory: 128MiB
    disks: {data: {size: 64MiB, keep_on_delete: false}}
    nics: [{network: back, address: 10.20.2.10}]
    power: stopped
    delete_protection: true
isolation:
  policies:
    world-to-web: {kind: traffic, from: [outside], to: [label.tier=front], allow: [tcp/80, icmp, icmpv6]}
    web-to-db: {kind: traffic, from: [machine.web], to: [machine.db], allow: [tcp/5432]}
"""

# Of a type with several samples the first goes through every check. The others, which cost seconds each time, go
# through those in which they do something else: a file is uploaded, a machine is started, waited for and stopped.
_ONLY = {
    f"{_KERNEL}-": ("preview", "second-apply", "read", "create-*", "delete", "delete-lost-after"),
    f"{_INITRD}-": (),
    "domain:Domain/booting-": ("unhealthy", "update-1", "create-lost-after", "create-cancelled", "create-killed"),
}


def _is_worth_its_time(name: str) -> bool:
    for sample, checks in _ONLY.items():
        if name.startswith(sample):
            return any(fnmatch.fnmatchcase(name.removeprefix(sample), check) for check in checks)
    return True


class LibvirtConformance(ConformanceSuite):
    """Every check of the kit against a libvirt of its own, which it starts and takes away again."""

    provider = LibvirtProvider
    cancel_seconds = 5.0  # one call of libvirt, which cannot be left, may take a second, and longer on a busy machine
    samples = _SAMPLES
    functions = (
        FunctionSample("host:describe"),
        FunctionSample("storage:findImage", {"name": "image*"}),
    )
    stacks = (StackSample("two-tiers", _STACK),)
    errors: ClassVar[Mapping[Effect, Callable[[], Exception]]] = {
        Effect.ERROR: _failure(libvirt.VIR_ERR_OPERATION_FAILED, "operation failed: injected"),
        Effect.THROTTLED: _failure(
            libvirt.VIR_ERR_OPERATION_TIMEOUT, "Timed out during operation: cannot acquire state change lock"
        ),
        Effect.TIMEOUT: _failure(
            libvirt.VIR_ERR_INTERNAL_ERROR, "connection closed due to keepalive timeout", libvirt.VIR_FROM_RPC
        ),
        Effect.LOST_BEFORE: _LOST,
        Effect.LOST_AFTER: _LOST,
    }
    gaps: ClassVar[Mapping[str, str]] = {
        "storage:Pool-refresh-changed": "what may change of a pool is in state alone",
    }
    platform_scope = "suite"
    calls_tried = 5

    @classmethod
    def cases(cls) -> Sequence["Case"]:
        """Every check, those left out that a cheaper sample of the same type goes through."""
        return [case for case in super().cases() if _is_worth_its_time(case.name)]

    def platform(self, directory: Path) -> Iterator[Platform]:
        """A private hypervisor with nothing on it but an image in a pool that no stack made."""
        place = directory / "lab"
        running = lab.start(place, owner=os.getpid())
        try:
            connection = libvirt.open(running.uri)
            hypervisor = Hypervisor(connection, running.directory / "lib/images")
            hypervisor.bring_image()
            yield Platform(
                config={"uri": running.uri},
                leftovers=hypervisor.leftovers,
                handle=hypervisor,
                clean=hypervisor.clean,
                wrong_configs=[{"uri": f"qemu+unix:///system?socket={directory}/nothing"}, {"uri": "nonsense://"}],
            )
            connection.close()
        finally:
            lab.stop(place)

    def transport(self, session: Session, faults: Faults) -> Session:
        """Between the plugin and libvirt's client library."""
        session.stand_between(lambda connection: faults.wrap(connection, local=_LOOKS_LOCALLY))
        return session
