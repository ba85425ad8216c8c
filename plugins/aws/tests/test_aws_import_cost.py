"""What a stack does not use costs nothing: commands that only look at installed plugins load no SDK of Amazon's."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "code",
    [
        "import provision_aws.provider",
        "from provision.spi import registry; registry.load('aws').best_capabilities()",
        "from provision_aws.provider import AwsProvider; AwsProvider().builtin_images()",
    ],
    ids=["import", "load", "images"],
)
def test_looking_at_the_plugin_loads_no_sdk(code):
    asked = "; import sys; print([name for name in sys.modules if name.partition('.')[0] in ('boto3', 'botocore')])"
    done = subprocess.run([sys.executable, "-c", code + asked], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
