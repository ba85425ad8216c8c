"""The public names of each package are a promise: this test makes a change of them a decision."""

import importlib
import subprocess
import sys

import pytest

PACKAGES = ["loader", "models", "packets", "spi", "spi.cloud", "testing", "translate", "verify", "host.engine"]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_lists_its_public_names_once_and_each_exists(package):
    module = importlib.import_module(f"provision.{package}")

    assert len(module.__all__) == len(set(module.__all__))
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert missing == []


def test_the_plugin_interface_is_what_plugin_authors_were_promised():
    from provision import spi

    assert {
        "CanCheck",
        "CanDelete",
        "CanProbe",
        "CanRead",
        "CanUpdate",
        "Capabilities",
        "CreateRequest",
        "Created",
        "GraphBuilder",
        "HasConsole",
        "HasDoctor",
        "HasLab",
        "HasObjections",
        "HasSetup",
        "Properties",
        "Provider",
        "ResourceType",
        "TranslationRequest",
    } <= set(spi.__all__)


def test_importing_the_plugin_interface_loads_neither_pulumi_nor_a_cloud_sdk():
    unwanted = ("pulumi", "grpc", "libvirt", "boto3", "provision.spi.cloud")
    code = f"import provision.spi, sys; print([m for m in {unwanted} if m in sys.modules])"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
