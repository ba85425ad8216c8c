"""The built-in `micro` image: Debian's cloud kernel, a busybox userland and the probe agent.

`build` makes and caches it without root; `ProbeClient` talks to the agent of a running guest (PROTOCOL.md) over one of
the transports in `provision_libvirt.micro.transport`.
"""

from provision_libvirt.micro.agent import agent_binary
from provision_libvirt.micro.client import Answer, Greeting, Nic, Probe, ProbeClient, ProbeFailure, State, Transport
from provision_libvirt.micro.image import CHANNEL, CMDLINE, READY_MARK, MicroImage, build, default_cache

__all__ = [
    "CHANNEL",
    "CMDLINE",
    "READY_MARK",
    "Answer",
    "Greeting",
    "MicroImage",
    "Nic",
    "Probe",
    "ProbeClient",
    "ProbeFailure",
    "State",
    "Transport",
    "agent_binary",
    "build",
    "default_cache",
]
