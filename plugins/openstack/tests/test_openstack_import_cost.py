"""What a stack does not use costs nothing: commands that only look at installed plugins load no OpenStack SDK."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "code",
    [
        "import provision_openstack.provider",
        "from provision.spi import registry; registry.load('openstack').best_capabilities()",
        "from provision_openstack.provider import OpenStackProvider; OpenStackProvider().builtin_images()",
    ],
    ids=["import", "load", "images"],
)
def test_looking_at_the_plugin_loads_no_sdk(code):
    sdk = ("openstack", "keystoneauth1", "requests")
    asked = f"; import sys; print([name for name in sys.modules if name.partition('.')[0] in {sdk}])"
    done = subprocess.run([sys.executable, "-c", code + asked], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
