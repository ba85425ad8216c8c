"""The same digest of the same value is derived once for all checks, since deriving it is meant to be dear."""

from functools import lru_cache

import pytest

from provision.host.plugin import write_only


@pytest.fixture(autouse=True, scope="session")
def _derived_once():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(write_only, "digest", lru_cache(write_only.digest))
        yield
