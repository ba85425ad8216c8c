"""Whether packets can be filtered on a hypervisor at all."""

from provision.spi import Capabilities, Support, unsupported
from provision_libvirt.usermode import is_user, no_filters


def filter_problem(capabilities: Capabilities) -> Support | None:
    """Why packets cannot be filtered on this hypervisor; None when they can."""
    facts = capabilities.facts
    if is_user(capabilities):
        return no_filters()
    if not facts.get("nwfilter", False):
        return unsupported(
            "this hypervisor's libvirt has no packet filters (its nwfilter driver is not there)",
            "apt-get install libvirt-daemon-driver-nwfilter (part of libvirt-daemon-system on Debian)",
        )
    for family, key in (("", "bridge_nf_call_iptables"), ("6", "bridge_nf_call_ip6tables")):
        if facts.get(key) is False:
            return unsupported(
                f"the hypervisor's kernel keeps bridged packets away from ip{family}tables "
                f"(net.bridge.bridge-nf-call-ip{family}tables is not 1), so its packet filters would do nothing",
                f"on the hypervisor: modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-ip{family}tables=1",
            )
    return None
