"""What holds for every test: neither how and where the run was started nor chance changes what is tested."""

import os
import signal
from typing import Any

import pytest
from hypothesis import settings

# Whoever runs the tests may use these platforms for other work: no test may reach them, nor depend on them.
for name in [name for name in os.environ if name.startswith(("AWS_", "LIBVIRT_", "OS_"))]:
    del os.environ[name]
os.environ |= dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull + "/none")

# A shell starts what runs in its background with interrupts ignored, and every child would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Property tests draw the same examples every time, so that a failure is of the change that it is seen with.
# HYPOTHESIS_PROFILE=default draws others.
settings.register_profile("same", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile`, files that share something stay together, and the longest come first."""
    if config.getvalue("dist") != "loadfile":
        return None
    from scheduling import GroupScheduling

    return GroupScheduling(config, log)
