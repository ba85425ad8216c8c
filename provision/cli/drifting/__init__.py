"""Drift: what is no longer as it was deployed, found without changing anything."""

from provision.cli.drifting.collect import collected
from provision.cli.drifting.found import Finding, Kind, Report
from provision.cli.drifting.render import as_data, human, is_quiet, markdown
from provision.cli.drifting.tools import as_junit, as_sarif

__all__ = ["Finding", "Kind", "Report", "as_data", "as_junit", "as_sarif", "collected", "human", "is_quiet", "markdown"]
