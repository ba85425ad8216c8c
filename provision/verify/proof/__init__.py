"""Proof that native rules let pass what the stack file allows, and nothing else: decided on sets of packets."""

from provision.verify.proof.compare import Difference, Proof, Way, prove
from provision.verify.proof.planned import prove_planned
from provision.verify.proof.render import as_data, as_json, lines, markdown, summary

__all__ = [
    "Difference",
    "Proof",
    "Way",
    "as_data",
    "as_json",
    "lines",
    "markdown",
    "prove",
    "prove_planned",
    "summary",
]
