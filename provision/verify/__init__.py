"""Verification: what the stack file says, held against real packets."""

from provision.verify.entry import verify
from provision.verify.intent import Intent, Verdict
from provision.verify.junit import junit
from provision.verify.render import as_data, as_json, human, markdown
from provision.verify.report import PolicyEvidence, Row, Standing, VerifyReport
from provision.verify.run import Progress
from provision.verify.state import HIDDEN, DeployedLocation, DeployedStack, PolicyRecord, read_state

__all__ = [
    "HIDDEN",
    "DeployedLocation",
    "DeployedStack",
    "Intent",
    "PolicyEvidence",
    "PolicyRecord",
    "Progress",
    "Row",
    "Standing",
    "Verdict",
    "VerifyReport",
    "as_data",
    "as_json",
    "human",
    "junit",
    "markdown",
    "read_state",
    "verify",
]
