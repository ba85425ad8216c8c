"""The lab's hypervisor: nova's own fake one, with lasting identities, a size, machines that outlive it, and faults."""

import os
import sys
import time
import urllib.error
import urllib.request
import uuid

import nova.virt
from nova import exception
from nova.compute import power_state
from nova.scheduler.client import report
from nova.virt import fake

from oslab import faults

_LIVES = ("active", "paused", "suspended", "stopped")
_SECONDS = 240


def register():
    """Make it known under the name by which nova's configuration finds it."""
    sys.modules["nova.virt.labvirt"] = sys.modules[__name__]
    nova.virt.labvirt = sys.modules[__name__]


def node_uuid(name):
    """Identity of a host's node."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"oslab-node-{name}"))


class LabDriver(fake.FakeDriver):
    vcpus = int(os.environ["LAB_CPUS"])
    memory_mb = int(os.environ["LAB_MEMORY_MIB"])
    local_gb = int(os.environ["LAB_DISK_GIB"])

    def init_host(self, host):
        for url in os.environ["LAB_NEEDED"].split():
            _wait_for(url)
        self._host = host
        self._set_nodes([host])
        self.host_status_base["hypervisor_hostname"] = host

    def get_available_resource(self, nodename):
        resource = super().get_available_resource(nodename)
        if resource:
            resource["uuid"] = node_uuid(nodename)
        return resource

    def get_nodenames_by_uuid(self, refresh=False):
        return {node_uuid(name): name for name in self.get_available_nodes()}

    def spawn(self, context, instance, *args, **kwargs):
        rule = faults.match("spawn", name=instance.display_name, host=self._host)
        if rule:
            time.sleep(rule["delay"])
            if rule["error"] and rule["abort"]:
                raise exception.BuildAbortException(instance_uuid=instance.uuid, reason=rule["error"])
            if rule["error"]:
                raise exception.NovaException(rule["error"])
        return super().spawn(context, instance, *args, **kwargs)

    def get_info(self, instance, use_cache=True):
        if instance.uuid not in self.instances and instance.vm_state in _LIVES:
            state = instance.power_state if instance.power_state is not None else power_state.RUNNING
            self.instances[instance.uuid] = fake.FakeInstance(instance.name, state, instance.uuid)
        return super().get_info(instance, use_cache)

    def get_host_ip_addr(self):
        return "127.0.0.1"


def _wait_for(url):
    """Until an API answers: a host that cannot report its resources when it starts tries that again minutes later."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=_SECONDS).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


# Nova's resource tracker reads every allocation of the host, one request each, at every claim and release, for drivers
# that reshape providers or track PCI devices: quadratic in machines of a host. This one does neither.
report.SchedulerReportClient.get_allocations_for_provider_tree = lambda self, context, nodename: {}
