"""Which releases of the Pulumi engine we install and accept, and how their versions are read."""

import re

ENGINE_VERSION = "3.259.0"
"""The release that is installed when none is found: what our tests run against."""

MINIMUM_VERSION = "3.250.0"
"""The oldest release that is accepted; a newer major version is not, since its protocol may differ."""

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:[-+][0-9A-Za-z.+-]*)?")


def parse_version(text: str) -> tuple[int, int, int] | None:
    """Read `v3.259.0` or `3.260.0-alpha.1+abc` as numbers, or give None when it is no version."""
    match = _VERSION.fullmatch(text.strip())
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def refusal(version: str) -> str | None:
    """Say why an engine of this version is not accepted, or None when it is."""
    found, minimum = parse_version(version), parse_version(MINIMUM_VERSION)
    assert minimum is not None
    if found is None:
        return f"it reports {version!r}, which is no version"
    if found[0] != minimum[0]:
        return f"it is version {version}, but major version {minimum[0]} is needed"
    if found < minimum:
        return f"it is version {version}, older than {MINIMUM_VERSION}"
    return None
