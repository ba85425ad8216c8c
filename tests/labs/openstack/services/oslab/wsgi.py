"""The application of the API $LAB_SERVICE, for a WSGI server."""

import importlib
import os

SERVICE = os.environ["LAB_SERVICE"]
MODULES = {
    "keystone": "keystone.wsgi.api",
    "placement": "placement.wsgi.api",
    "glance": "glance.wsgi.api",
    "nova": "nova.wsgi.osapi_compute",
    "neutron": "neutron.wsgi.api",
    "cinder": "cinder.wsgi.api",
}
real = importlib.import_module(MODULES[SERVICE]).application

from oslab import policies, wsgiwrap  # noqa: E402 - after nova has decided about its monkey patching

policies.read(SERVICE)
application = wsgiwrap.Faulty(real, SERVICE)
