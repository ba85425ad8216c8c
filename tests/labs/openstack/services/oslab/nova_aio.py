"""Nova's conductor, scheduler, API and $LAB_COMPUTES hosts in one process, over oslo.messaging's fake transport.

Native threads, no eventlet. Every host has its own name, node and hypervisor in memory.
"""

import os

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"
from nova import monkey_patch

monkey_patch.patch(backend="threading")

import signal  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import uuid  # noqa: E402

import nova.conf  # noqa: E402
import nova.virt.node  # noqa: E402
import os_vif  # noqa: E402
from nova import config, objects, service  # noqa: E402
from nova.compute import rpcapi as compute_rpcapi  # noqa: E402
from nova.conductor import rpcapi as conductor_rpcapi  # noqa: E402
from nova.scheduler import rpcapi as scheduler_rpcapi  # noqa: E402
from oslo_log import log as logging  # noqa: E402
from paste import deploy  # noqa: E402

from oslab import labvirt, policies, wsgiwrap  # noqa: E402

CONF = nova.conf.CONF


def main():
    labvirt.register()
    config.parse_args(sys.argv)
    logging.setup(CONF, "nova")
    objects.register_all()
    os_vif.initialize()
    objects.Service.enable_min_version_cache()
    # The file with a node's identity belongs to a machine; here the driver gives each host its own.
    nova.virt.node.read_local_node_uuid = lambda: str(uuid.uuid4())
    kept = [
        started("nova-conductor", conductor_rpcapi.RPC_TOPIC),
        started("nova-scheduler", scheduler_rpcapi.RPC_TOPIC),
    ]
    for number in range(1, int(os.environ["LAB_COMPUTES"]) + 1):
        CONF.set_override("host", f"c{number}")
        more = {"host": f"c{number}", "topic_alt": compute_rpcapi.RPC_TOPIC_ALT}
        kept.append(started("nova-compute", compute_rpcapi.RPC_TOPIC, **more))
    CONF.clear_override("host")
    application = deploy.loadapp(f"config:{CONF.wsgi.api_paste_config}", name="osapi_compute")
    policies.read("nova")
    wsgiwrap.serve(wsgiwrap.Faulty(application, "nova"), int(os.environ["LAB_NOVA_PORT"]))
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *call: done.set())
    done.wait()
    os._exit(0)


def started(binary, topic, **more):
    made = service.Service.create(binary=binary, topic=topic, **more)
    made.start()
    return made


if __name__ == "__main__":
    main()
