"""The hypervisor's addresses that no packet filter knows, closed to a network.

A packet filter of libvirt names addresses, and those of a hypervisor come and go: each network of another stack gives
it one more. In the kernel's own chains they need no names, since what is for the host, whatever its address, passes
`INPUT`, and what it sends passes `OUTPUT`, while what is forwarded passes neither. So where the host can be reached,
two chains for each network in the table `mangle`, which is asked before the filters, let through what these decide
about, and stop all else. They are keyed to the network's bridge: machines start and stop without a change of them.
`host_hook` brings them back after a new start of the hypervisor.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from provision.errors import PlatformError
from provision_libvirt.hostview import HostView, host_view
from provision_libvirt.resources import host_hook
from provision_libvirt.resources.network_model import NetworkInputs

_OURS = re.compile(r"provision-(?P<bridge>\S+)-(?:in|out)")
_STACKS_BRIDGE = re.compile(r"pv[0-9a-f]{10}")
_TOOLS = {4: "iptables", 6: "ip6tables"}
# Asked by every machine before it has an address, or by the kernel itself; filters decide about them.
_NEEDED = {
    (4, "-d"): ("224.0.0.0/4", "255.255.255.255/32"),
    (6, "-d"): ("fe80::/10", "ff00::/8"),
    (4, "-s"): (),
    (6, "-s"): ("::/128", "fe80::/10"),
}
_TRIES = 5
"""Another network may have changed the table since it was read, such as by removing the same leftovers."""

_SIDES = (("in", "INPUT", "-i", "-d"), ("out", "OUTPUT", "-o", "-s"))


def close(uri: str, inputs: NetworkInputs) -> None:
    """Put the network's chains there, or change them, in one transaction for each IP version; nothing if none is asked.

    Raises:
        PlatformError: the host cannot be reached from here, or its kernel refused.
    """
    if inputs.host_addresses is None:
        return
    view = _view(uri)
    if view is None or not all([_change(view, tool, family, inputs) for family, tool in _TOOLS.items()]):
        raise PlatformError(
            f"the hypervisor's other addresses could not be closed to the network '{inputs.name}'",
            "run as root on the hypervisor, with iptables, ip6tables and the kernel's table 'mangle' there; then run "
            "again",
        )


def keep(uri: str, connection: Any, inputs: NetworkInputs) -> bool | None:
    """Have the chains made again before libvirt starts the network by itself; gives whether what does that is new.

    None when nothing can.

    Raises:
        libvirt.libvirtError: libvirt does not answer.
    """
    if inputs.host_addresses is None:
        return False
    view = _view(uri)
    return None if view is None else host_hook.keep(view, connection, inputs.bridge, _script(inputs))


def open_again(uri: str, inputs: NetworkInputs | None) -> None:
    """Remove what `close` and `keep` made of a network that goes; what cannot be reached goes with the next run.

    Raises:
        PlatformError: the kernel refused.
    """
    view = None if inputs is None or inputs.host_addresses is None else _view(uri)
    if view is not None and inputs is not None:
        host_hook.forget(view, inputs.bridge)
        gone = inputs.model_copy(update={"host_addresses": None})
        if not all([_change(view, tool, family, gone) for family, tool in _TOOLS.items()]):
            raise PlatformError(
                f"the kernel's rules for the network '{inputs.name}' could not be removed",
                f"run again, or on the hypervisor: iptables -t mangle -S, and delete 'provision-{inputs.bridge}-…'",
            )


def seen(uri: str, recorded: NetworkInputs, *, autostart: bool) -> list[str] | None:
    """`host_addresses` as the host has them: as recorded, or None when the chains are gone or were changed.

    So they are when libvirt would start the network by itself without them.
    """
    view = None if recorded.host_addresses is None else _view(uri)
    if view is None:
        return recorded.host_addresses
    if autostart and not host_hook.is_kept(view, recorded.bridge, _script(recorded)):
        return None
    for family, tool in _TOOLS.items():
        saved = view.run(f"{tool}-save", "-t", "mangle")
        if saved is not None and not is_closed(saved, family, recorded):
            return None
    return recorded.host_addresses


def is_closed(saved: str, family: int, inputs: NetworkInputs) -> bool:
    """Whether the kernel, by what `iptables-save` printed, has the network's chains as they were written."""
    lines = _lines(saved)
    names = tuple(f"-A {name} " for name, *_ in _named(inputs.bridge))
    there = sorted((line for line in lines if line.startswith(names)), key=lambda line: line.split()[1])
    return there == _rules(inputs, family) and set(_jumps(inputs)) <= set(lines)


def changed(saved: str, family: int, inputs: NetworkInputs, bridges: Iterable[str] | None = None) -> str:
    """What to give to `iptables-restore`, from what `iptables-save` printed; empty when there is nothing to do.

    Args:
        saved: of the table `mangle`.
        family: the IP version.
        inputs: of the network; without `host_addresses` its chains are removed.
        bridges: that are there: chains of stacks' bridges that are not go too. None when that is not known.
    """
    there, present = _lines(saved), set(re.findall(r"^:(\S+) ", saved, re.MULTILINE))
    wanted = [] if inputs.host_addresses is None else [name for name, *_ in _named(inputs.bridge)]
    leaving = sorted(name for name in present if _is_leftover(name, inputs, bridges))
    jumps = [line for line in there if line.split()[-1] in leaving and line.startswith(("-A INPUT ", "-A OUTPUT "))]
    lines = [f":{chain} - [0:0]" for chain in (*wanted, *leaving)]
    lines += [line.replace("-A", "-D", 1) for line in jumps]
    lines += [f"-X {chain}" for chain in leaving]
    if wanted:
        lines += _rules(inputs, family)
        # Before all others: an accept there, such as of the copy of old rules, would end the table.
        lines += [line.replace("-A", "-I", 1) for line in _jumps(inputs) if line not in there]
    return "\n".join(["*mangle", *lines, "COMMIT", ""]) if lines else ""


def _is_leftover(chain: str, inputs: NetworkInputs, bridges: Iterable[str] | None) -> bool:
    found = _OURS.fullmatch(chain)
    if found is None:
        return False
    bridge = found["bridge"]
    if bridge == inputs.bridge:
        return inputs.host_addresses is None
    return bridges is not None and bridge not in bridges and bool(_STACKS_BRIDGE.fullmatch(bridge))


def _change(view: HostView, tool: str, family: int, inputs: NetworkInputs) -> bool:
    for _ in range(_TRIES):
        saved = view.run(f"{tool}-save", "-t", "mangle")
        if saved is None:
            return False
        text = changed(saved, family, inputs, _known(view))
        if not text or view.run(f"{tool}-restore", "--wait", "--noflush", given=text) is not None:
            return True
    return False


def _known(view: HostView) -> set[str] | None:
    """Bridges that are there, or will be in a moment: libvirt has the chains made just before."""
    try:
        return {device.name for device in (view.root / "sys/class/net").iterdir()} | host_hook.bridges(view)
    except OSError:
        return None


def _view(uri: str) -> HostView | None:
    view = host_view(uri)
    return view if view is not None and view.may_change_rules() else None


def _named(bridge: str) -> Iterator[tuple[str, str, str, str]]:
    """Chain, hook, option of the bridge and option of the host's address, of both directions."""
    for way, hook, device, address in _SIDES:
        yield f"provision-{bridge}-{way}", hook, device, address


def _jumps(inputs: NetworkInputs) -> list[str]:
    return [f"-A {hook} {device} {inputs.bridge} -j {chain}" for chain, hook, device, _ in _named(inputs.bridge)]


def _rules(inputs: NetworkInputs, family: int) -> list[str]:
    """As `iptables-save` spells them."""
    own = inputs.ipv4 if family == 4 else inputs.ipv6
    near = [] if own is None else [str(ip_network(f"{own.address}/{own.prefix}", strict=False))]
    known = [str(ip_network(text)) for text in _of(inputs.host_addresses or (), family)]
    found = []
    for chain, _, _, address in _named(inputs.bridge):
        passing = dict.fromkeys((*near, *known, *_NEEDED[family, address]))
        found += [f"-A {chain} {address} {prefix} -j RETURN" for prefix in passing]
        found.append(f"-A {chain} -j DROP")
    return found


def _script(inputs: NetworkInputs) -> str:
    chains = [f":{chain} - [0:0]" for chain, *_ in _named(inputs.bridge)]
    rules = {
        tool: "\n".join(["*mangle", *chains, *_rules(inputs, family), "COMMIT"]) for family, tool in _TOOLS.items()
    }
    return host_hook.script(inputs.name, inputs.bridge, rules, _jumps(inputs))


def _of(addresses: Sequence[str], family: int) -> list[str]:
    return [text for text in addresses if ip_address(text).version == family]


def _lines(saved: str) -> list[str]:
    return [line for line in saved.splitlines() if line.startswith("-A ")]
