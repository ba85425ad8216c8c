"""All families of checks, in the order in which a report shows them."""

from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase

from provision.testing.conformance import (
    cancelling,
    changes,
    failures,
    inputs,
    killing,
    objects,
    ownership,
    plugin,
    secrecy,
    translation,
)
from provision.testing.conformance.bench import Bench
from provision.testing.conformance.cases import Case
from provision.testing.conformance.description import SuiteDescription
from provision.testing.conformance.verdicts import expect, listed

FAMILIES = (
    *(plugin, inputs, objects, changes, ownership, secrecy),
    *(failures, cancelling, killing),
    translation,
)


def catalogue(suite: SuiteDescription) -> Sequence[Case]:
    """Every check of the suite; names are unique."""
    found = [case for family in FAMILIES for case in family.cases(suite)]
    names = [case.name for case in found]
    twice = [name for name, count in Counter(names).items() if count > 1]

    async def declared(bench: Bench) -> None:
        expect(not twice, "every sample has an id of its own", listed(twice), "give samples of the same type names")
        idle = [pattern for pattern in suite.gaps if not any(fnmatchcase(name, pattern) for name in names)]
        expect(not idle, "every declared gap names a check", listed(idle), f"the checks are {listed(names)}")

    return (*(case for case in found if case.name not in twice), Case("suite-declarations", declared))
