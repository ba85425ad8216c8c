"""What a verification would notice: native rules and settings are broken one at a time, and noticed breaks counted."""

from provision.verify.selftest.mutants import Mutant, mutants
from provision.verify.selftest.render import as_data, lines, summary
from provision.verify.selftest.score import Layer, Score, score

__all__ = ["Layer", "Mutant", "Score", "as_data", "lines", "mutants", "score", "summary"]
