"""Proof that native rules let pass what the stack file allows, and nothing else: decided on sets of packets."""

from provision.verify.proof.applied import prove_applied
from provision.verify.proof.compare import Difference, Proof, Way, prove
from provision.verify.proof.planned import Part, joined, planned, prove_planned
from provision.verify.proof.render import as_data, lines, markdown, summary

__all__ = [
    "Difference",
    "Part",
    "Proof",
    "Way",
    "as_data",
    "joined",
    "lines",
    "markdown",
    "planned",
    "prove",
    "prove_applied",
    "prove_planned",
    "summary",
]
