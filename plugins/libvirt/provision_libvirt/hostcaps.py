"""What libvirt itself says of its host and of what domains on it may have."""

from typing import Any
from xml.etree import ElementTree

import libvirt

_LEAST_HUGE_KIB = 1024  # smaller ones are the kernel's ordinary pages on some machine


def ask(connection: Any, accelerator: str) -> dict[str, Any]:
    """Topology, huge pages, security drivers, firmware, TPMs and memory encryption; empty where libvirt has no word."""
    host = _document(lambda: connection.getCapabilities())
    able = _document(lambda: connection.getDomainCapabilities(None, None, "q35", accelerator, 0))
    return {
        "topology": topology(host),
        "security_models": [model.text or "" for model in host.iterfind("host/secmodel/model")],
        "firmware": ["bios", *_values(able, "os/enum[@name='firmware']")],
        "secure_boot": "yes" in _values(able, "os/loader/enum[@name='secure']")
        and "efi" in _values(able, "os/enum[@name='firmware']"),
        "tpm_backends": _values(able, "devices/tpm/enum[@name='backendModel']"),
        "memory_encryption": memory_encryption(able),
    }


def host_topology(connection: Any) -> list[dict[str, Any]]:
    """The topology of the hypervisor's host, as `topology` gives it."""
    return topology(_document(lambda: connection.getCapabilities()))


def topology(host: ElementTree.Element) -> list[dict[str, Any]]:
    """NUMA nodes: memory, huge pages (size in KiB: how many) and CPUs, each with the siblings of its core."""
    nodes = []
    for cell in host.iterfind("host/topology/cells/cell"):
        pages = {}
        for page in cell.iterfind("pages"):
            size = int(page.get("size", "0"))
            if size >= _LEAST_HUGE_KIB:
                pages[str(size)] = int(page.text or "0")
        nodes.append(
            {
                "id": int(cell.get("id", "0")),
                "memory_mib": int(cell.findtext("memory", "0")) // 1024,
                "huge_pages": pages,
                "cpus": [
                    {"id": int(cpu.get("id", "0")), "siblings": cpu.get("siblings", cpu.get("id", "0"))}
                    for cpu in cell.iterfind("cpus/cpu")
                ],
            }
        )
    return nodes


def memory_encryption(able: ElementTree.Element) -> list[str]:
    """Technologies by which domains' memory may be encrypted: `sev`, `sev-es`, `sev-snp`, `tdx`."""
    found = {name for name in ("sev", "tdx") if _supported(able, f"features/{name}")}
    if "sev" in found and int(able.findtext("features/sev/maxESGuests") or 0) > 0:
        found.add("sev-es")
    # Since libvirt 10.5 the kinds are listed; before, nothing but SEV and SEV-ES was known.
    found.update(set(_values(able, "features/launchSecurity/enum[@name='sectype']")) & {"sev", "sev-snp", "tdx"})
    return sorted(found)


def _document(ask: Any) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(ask())
    except libvirt.libvirtError:
        return ElementTree.Element("none")


def _values(root: ElementTree.Element, path: str) -> list[str]:
    return [value.text or "" for value in root.iterfind(f"{path}/value")]


def _supported(root: ElementTree.Element, path: str) -> bool:
    found = root.find(path)
    return found is not None and found.get("supported") == "yes"
