"""Cinder's scheduler, API and one back end in one process, over oslo.messaging's fake transport."""

from cinder.cmd import volume as volume_command  # monkey patches, so it comes first

import shlex  # isort: skip
import sys  # isort: skip

import os_brick
from cinder import coordination, objects, rpc, service, utils, version
from cinder.common import config, constants
from oslo_config import cfg
from oslo_log import log as logging
from oslo_privsep import priv_context
from oslo_service import service as oslo_service
from oslo_service import wsgi

from oslab import policies, wsgiwrap

CONF = cfg.CONF
BACK_END = "fake"


class Loader(wsgi.Loader):
    def load_app(self, name):
        application = super().load_app(name)
        policies.read("cinder")
        return wsgiwrap.Faulty(application, "cinder")


def main():
    objects.register_all()
    CONF(sys.argv[1:], project="cinder", version=version.version_string())
    logging.setup(CONF, "cinder")
    config.set_middleware_defaults()
    priv_context.init(root_helper=shlex.split(utils.get_root_helper()))
    os_brick.setup(CONF)
    coordination.COORDINATOR.start()
    launcher = oslo_service.ServiceLauncher(CONF)
    CONF.register_opt(volume_command.host_opt, group=BACK_END)
    launcher.launch_service(service.Service.create(binary=constants.SCHEDULER_BINARY))
    host = f"{CONF.host}@{BACK_END}"
    back_end = {"host": host, "service_name": BACK_END, "coordination": False}
    launcher.launch_service(service.Service.create(binary=constants.VOLUME_BINARY, **back_end))
    rpc.init(CONF)
    launcher.launch_service(service.WSGIService("osapi_volume", loader=Loader(CONF)))
    launcher.wait()


if __name__ == "__main__":
    main()
