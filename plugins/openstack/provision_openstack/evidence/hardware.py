"""What a machine runs on: its flavor's extra specs, its volumes, and limits."""

from collections.abc import Iterator
from typing import Any

from provision.models import DiskEncryptionPolicy, MemoryEncryptionPolicy, Policy, SecureBootPolicy, Share
from provision.spi import Shown
from provision.spi.evidence import accepted, number
from provision_openstack.evidence.look import Look
from provision_openstack.kinds import IMAGE, QOS_POLICY
from provision_openstack.readers.specs import capped, said


def of_flavor(look: Look, policy: Policy) -> Iterator[Shown]:
    """Whether its flavor has the extra specs; Nova's scheduler then gave it a host that can."""
    specs = look.specs
    if specs is None:
        yield accepted(None, "Nova does not tell the extra specs of its flavor")
    else:
        for holds, text in said(policy, specs):
            yield accepted(holds, f"its flavor has {text}" if holds else f"of its flavor: {text}")
    if isinstance(policy, SecureBootPolicy | MemoryEncryptionPolicy):
        yield from _firmware(look)
    yield look.unseen()


def disk_encryption(look: Look, policy: DiskEncryptionPolicy) -> Iterator[Shown]:
    """Whether each of its disks is a volume that Cinder calls encrypted."""
    wrong = [] if look.is_on_volume else ["its first disk is its flavor's own, which is no volume"]
    for identity, volume in look.volumes:
        if volume is None or volume.get("encrypted") is not True:
            wrong.append(f"volume {identity} is not encrypted")
    yield accepted(not wrong, "; ".join(wrong) or f"{number(len(look.volumes), 'volume')} encrypted")
    yield look.unseen()


def limits(look: Look, share: Share) -> Iterator[Shown]:
    """Whether its flavor and ports limit it."""
    specs, flavor = look.specs, look.flavor or {}
    if specs is None and (share.cpu is not None or share.disk is not None):
        yield accepted(None, "Nova does not tell the extra specs of its flavor")
    for holds, text in capped(share, specs or {}, int(flavor.get("vcpus") or 0)) if specs is not None else ():
        yield accepted(holds, text)
    if share.nic is not None:
        yield from _bandwidth(look, share)
    yield look.unseen()


def _bandwidth(look: Look, share: Share) -> Iterator[Shown]:
    wanted = {
        way: max(1, int(rate) // 1000)
        for way, rate in (("ingress", share.nic.inbound), ("egress", share.nic.outbound))
        if rate is not None
    } if share.nic is not None else {}  # fmt: skip
    wrong = []
    for position, (_, port) in enumerate(look.ports):
        identity = "" if port is None else str(port.get("qos_policy_id") or "")
        policy: Any = look.session.reader.look(QOS_POLICY, identity) if identity else None
        there = {
            str(rule.get("direction") or "egress"): rule.get("max_kbps")
            for rule in (policy or {}).get("rules") or ()
            if rule.get("type") == "bandwidth_limit"
        }
        wrong += [
            f"port {position} has {there.get(way) or 'no limit of'} kbit/s {way} instead of {rate}"
            for way, rate in wanted.items()
            if there.get(way) != rate
        ]
    text = ", ".join(f"{rate} kbit/s {way}" for way, rate in wanted.items())
    yield accepted(not wrong, "; ".join(wrong) or f"{text} on {number(len(look.ports), 'port')}")


def _firmware(look: Look) -> Iterator[Shown]:
    """Whether its image says UEFI, without which Nova starts no such machine."""
    identity = str((look.live.get("image") or {}).get("id") or look.native.inputs.get("image_id") or "")
    image = look.session.reader.look(IMAGE, identity) if identity else None
    if image is None:
        yield accepted(None, "its image cannot be seen any more")
        return
    found = image.get("hw_firmware_type")
    yield accepted(found == "uefi", f"its image has hw_firmware_type={found or 'not set'}")
