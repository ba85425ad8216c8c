"""`pulumi import` of what a person made, with the real engine: the next preview is clean, and it is managed then."""

import os
import subprocess

import libvirt
import pulumi
import pytest
from provision_libvirt import lab
from pulumi import automation

from provision.host.engine import engine_environment, find_engine
from provision.host.setup import install_shims, plugin_executables

pytestmark = [pytest.mark.lab, pytest.mark.engine]
TOKEN = "provision-libvirt:network:Network"
UUID = "11111111-2222-4333-8444-555555555555"
NETWORK = f"""
<network><name>by-hand</name><uuid>{UUID}</uuid><forward mode='nat'/><bridge name='by-hand' stp='off' delay='0'/>
<ip address='10.88.0.1' netmask='255.255.255.0'><dhcp><host mac='02:00:00:00:00:0b' ip='10.88.0.30'/></dhcp></ip>
</network>
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hv") / "lab"
    yield lab.start(directory, owner=os.getpid())
    lab.stop(directory)


@pytest.fixture
def environment(tmp_path):
    engine = find_engine()
    assert engine is not None, "there is no engine: run `provision setup`"
    install_shims(tmp_path / "home", plugin_executables())
    (tmp_path / "state").mkdir()
    base = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "LIBVIRT_"))}
    ours = {
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "t",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    return engine, engine_environment(base | ours, engine.path)


def test_an_imported_network_is_managed_from_then_on(running, environment, tmp_path):
    engine, variables = environment
    connection = libvirt.open(running.uri)
    connection.networkDefineXML(NETWORK).create()
    inputs = {}

    def program():
        if inputs:
            pulumi.CustomResource(TOKEN, "net", dict(inputs))

    command = automation.PulumiCommand(root=str(engine.root))
    options = automation.LocalWorkspaceOptions(env_vars=variables, pulumi_command=command)
    stack = automation.create_stack("dev", project_name="taken", program=program, opts=options)
    stack.set_config("provision-libvirt:uri", automation.ConfigValue(running.uri))

    def recorded():
        resources = stack.export_stack().deployment["resources"]
        return next(item for item in resources if item["type"] == TOKEN)

    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: taken\nruntime: provision\n")
    (folder / "Pulumi.dev.yaml").write_text(f"config:\n  provision-libvirt:uri: {running.uri}\n")
    words = ["import", TOKEN, "net", "by-hand", "--stack=dev", "--yes", "--generate-code=false", "--protect=false"]
    done = subprocess.run([engine.path, *words], cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert recorded()["id"] == UUID
    assert recorded()["outputs"]["adopted"] is True

    inputs.update(recorded()["inputs"], stackId="0123456789abcdef")
    assert stack.preview().change_summary == {"same": 2}
    stack.up()
    assert recorded()["inputs"]["stackId"] == "0123456789abcdef"
    inputs["dhcpHosts"] = [{"mac": "02:00:00:00:00:0b", "ip": "10.88.0.31"}]
    assert stack.up().summary.resource_changes == {"same": 1, "update": 1}
    assert "10.88.0.31" in connection.networkLookupByUUIDString(UUID).XMLDesc()
    assert stack.refresh().summary.resource_changes == {"same": 2}
    assert recorded()["outputs"]["adopted"] is True
    stack.destroy()
    assert connection.listAllNetworks() == []
    connection.close()
