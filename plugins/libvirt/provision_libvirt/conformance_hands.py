"""What the conformance kit does on the hypervisor by hand: objects that no stack made, and changes of ours."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libvirt

from provision.testing import Foreign, Made
from provision_libvirt.resources import xml_storage
from provision_libvirt.resources.filter_list import all_filters

_IMAGES, _PLACE = "images", "/var/lib/libvirt/images"


@dataclass(frozen=True)
class Hypervisor:
    """The private hypervisor, as samples reach it by hand."""

    connection: Any
    images: Path

    def bring_image(self) -> None:
        """Make an image in a pool that no stack made."""
        uuid = "22222222-2222-4333-8444-555555555555"
        pool = self.connection.storagePoolDefineXML(xml_storage.pool(_IMAGES, uuid, f"{_PLACE}/{_IMAGES}"))
        pool.build(0)
        pool.create(0)
        pool.createXML(xml_storage.volume("image-1.qcow2", "qcow2", 16 << 20), 0)

    def leftovers(self) -> list[str]:
        """Everything on it, and every file in the place of pools."""
        connection = self.connection
        found = [f"machine {thing.name()}" for thing in connection.listAllDomains()]
        found += [f"network {thing.name()}" for thing in connection.listAllNetworks()]
        found += [f"packet filter {thing.name()}" for thing in all_filters(connection)]
        found += [f"storage pool {thing.name()}" for thing in connection.listAllStoragePools()]
        return found + [f"file {path.relative_to(self.images)}" for path in sorted(self.images.rglob("*"))]

    def clean(self) -> None:
        """Remove everything but the packet filters that libvirt brings."""
        gone = contextlib.suppress(libvirt.libvirtError)
        for thing in [*self.connection.listAllDomains(), *self.connection.listAllNetworks()]:
            with gone:
                thing.destroy()
            with gone:
                thing.undefine()
        for pool in self.connection.listAllStoragePools():
            if pool.name() == _IMAGES:
                continue
            with gone:
                pool.refresh(0)
                for volume in pool.listAllVolumes():
                    volume.delete(0)
            with gone:
                pool.destroy()
            with gone:
                pool.delete(0)
            with gone:
                pool.undefine()
        for _ in range(2):  # they may refer to each other
            for filter in all_filters(self.connection):
                if filter.name().startswith("kit-"):
                    with gone:
                        filter.undefine()


def all(*steps: Callable[[], object]) -> Callable[[], None]:
    """Do every step, whatever is gone already."""

    def remove() -> None:
        for step in steps:
            with contextlib.suppress(libvirt.libvirtError):
                step()

    return remove


def foreign_network(at: Hypervisor, inputs: Mapping[str, Any]) -> Foreign:
    """A network of the same name."""
    made = at.connection.networkDefineXML(
        f"<network><name>{inputs['name']}</name><bridge name='kit-foreign'/></network>"
    )
    return Foreign(made.XMLDesc, all(made.undefine), made.UUIDString())


def foreign_pool(at: Hypervisor, inputs: Mapping[str, Any]) -> Foreign:
    """A pool of the same name."""
    text = xml_storage.pool(inputs["name"], "11111111-2222-4333-8444-555555555555", f"{_PLACE}/foreign")
    made = at.connection.storagePoolDefineXML(text)
    return Foreign(made.XMLDesc, all(made.undefine), made.UUIDString())


def foreign_domain(at: Hypervisor, inputs: Mapping[str, Any]) -> Foreign:
    """A machine of the same name."""
    made = at.connection.defineXML(
        f"<domain type='qemu'><name>{inputs['name']}</name><memory>65536</memory>"
        "<os><type arch='x86_64'>hvm</type></os></domain>"
    )
    return Foreign(made.XMLDesc, all(made.undefine), made.UUIDString())


def foreign_filter(at: Hypervisor, inputs: Mapping[str, Any]) -> Foreign:
    """A packet filter with the name that all incarnations begin with."""
    made = at.connection.nwfilterDefineXML(
        f"<filter name='{inputs['name']}'><rule action='drop' direction='in'/></filter>"
    )
    return Foreign(lambda: made.XMLDesc(0), all(made.undefine), made.UUIDString())


def foreign_volume(at: Hypervisor, inputs: Mapping[str, Any]) -> Foreign:
    """A disk of the same name that a machine uses which is not ours."""
    pool = at.connection.storagePoolLookupByName(inputs["pool"])
    volume = pool.createXML(xml_storage.volume(inputs["name"], "qcow2", 1 << 20), 0)
    domain = at.connection.defineXML(
        "<domain type='qemu'><name>foreign</name><memory>65536</memory><os><type arch='x86_64'>hvm</type></os><devices>"
        f"<disk type='file'><source file='{volume.path()}'/><target dev='vda' bus='virtio'/></disk></devices></domain>"
    )

    remove = all(domain.undefine, lambda: volume.delete(0))
    return Foreign(lambda: (domain.XMLDesc(), volume.info()[:2]), remove)


def foreign_seed(at: Hypervisor, inputs: Mapping[str, Any]) -> Foreign:
    """Something else that has the name of the seed."""
    pool = at.connection.storagePoolLookupByName(inputs["pool"])
    volume = pool.createXML(xml_storage.volume(f"{inputs['name']}.seed.iso", "qcow2", 1 << 20), 0)
    return Foreign(lambda: volume.info(), all(lambda: volume.delete(0)))


def vanish_volume(at: Hypervisor, made: Made) -> None:
    """Remove a volume."""
    at.connection.storageVolLookupByPath(made.outputs["path"]).delete(0)


def vanish_domain(at: Hypervisor, made: Made) -> None:
    """Remove a machine."""
    domain = at.connection.lookupByUUIDString(made.id)
    with contextlib.suppress(libvirt.libvirtError):
        domain.destroy()
    domain.undefine()


def change_filter(at: Hypervisor, made: Made) -> None:
    """Change a port in a rule."""
    text = at.connection.nwfilterLookupByUUIDString(made.id).XMLDesc(0)
    at.connection.nwfilterDefineXML(text.replace("'80'", "'81'"))


def more_memory(at: Hypervisor, made: Made) -> None:
    """Change the memory of the next start."""
    domain = at.connection.lookupByUUIDString(made.id)
    domain.setMemoryFlags(64 << 10, libvirt.VIR_DOMAIN_AFFECT_CONFIG)


@contextlib.contextmanager
def paused_by_somebody(at: Hypervisor, inputs: Mapping[str, Any]) -> Iterator[None]:
    """A machine that is paused as soon as it runs never gets ready."""
    over = threading.Event()

    def pause() -> None:
        while not over.wait(0.02):
            with contextlib.suppress(libvirt.libvirtError):
                domain = at.connection.lookupByName(inputs["name"])
                if domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING:
                    domain.suspend()

    thread = threading.Thread(target=pause, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
