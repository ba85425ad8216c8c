"""What a verification would notice: native rules are broken one at a time, and the breaks that it notices counted."""

from provision.verify.selftest.mutants import Mutant, mutants
from provision.verify.selftest.render import as_data, lines, summary
from provision.verify.selftest.score import Score, score

__all__ = ["Mutant", "Score", "as_data", "lines", "mutants", "score", "summary"]
