"""Drift: what is no longer as it was deployed, found without changing anything."""

from provision.cli.drifting.adopting import Adopted, adopted, graph_of, to_adopt
from provision.cli.drifting.collect import collected, with_quiet
from provision.cli.drifting.found import Finding, Kind, Report
from provision.cli.drifting.render import as_data, human, is_quiet, markdown
from provision.cli.drifting.strangers import strangers
from provision.cli.drifting.tools import as_junit, as_sarif

__all__ = [
    "Adopted",
    "Finding",
    "Kind",
    "Report",
    "adopted",
    "as_data",
    "as_junit",
    "as_sarif",
    "collected",
    "graph_of",
    "human",
    "is_quiet",
    "markdown",
    "strangers",
    "to_adopt",
    "with_quiet",
]
