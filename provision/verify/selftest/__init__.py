"""What a verification would notice: native rules and settings are broken one at a time, and noticed breaks counted."""

from provision.verify.selftest.live import BREAKS, LiveScore, self_test
from provision.verify.selftest.mutants import Mutant, mutants
from provision.verify.selftest.render import as_data, lines, live_data, live_lines, live_summary, summary
from provision.verify.selftest.score import MOST, Layer, Score, score

__all__ = [
    "BREAKS",
    "MOST",
    "Layer",
    "LiveScore",
    "Mutant",
    "Score",
    "as_data",
    "lines",
    "live_data",
    "live_lines",
    "live_summary",
    "mutants",
    "score",
    "self_test",
    "summary",
]
