"""A real OpenStack of one machine's own: installed, started and stopped by tests."""

from openstack_lab.faults import bind_fails, extend_fails, http_fault, spawn_fails
from openstack_lab.lab import Lab, LabError, Project, start, stop, wipe
from openstack_lab.layout import Settings

__all__ = [
    "Lab",
    "LabError",
    "Project",
    "Settings",
    "bind_fails",
    "extend_fails",
    "http_fault",
    "spawn_fails",
    "start",
    "stop",
    "wipe",
]
