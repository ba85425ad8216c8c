"""Which probes to send where machines are alike: every packet at every machine, but not between every two of them."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from provision.verify.endpoints import Endpoint
from provision.verify.expectation import Expectation


@dataclass(frozen=True, slots=True)
class Coverage:
    """How far the probes that are sent stand for all that could be.

    Attributes:
        sent: how many probes are sent.
        possible: how many there would be between every two ends that are probed.
        machines: that are probed.
        pairs: ordered pairs of machines between which something is sent.
    """

    sent: int = 0
    possible: int = 0
    machines: int = 0
    pairs: int = 0

    @property
    def shared(self) -> bool:
        """Whether machines that are alike share probes."""
        return self.sent < self.possible


def share(exchanges: Sequence[Expectation], kinds: Mapping[str, Hashable]) -> list[Expectation]:
    """Those that stand for all, in their order.

    Kept is what is needed for three things, in each version of IP:

    1. between every two ends something that is to pass, where anything is, and something that is not;
    2. from every end, each service once to every kind of peer;
    3. to every end, each service once from every kind of peer.

    Which of several peers it is goes round, so that none of them gets all. The same exchanges give the same choice.

    Args:
        exchanges: all that could be sent.
        kinds: by name of machine its kind: the file treats machines of one kind alike. Other ends are like nobody.
    """
    kept: set[int] = set()
    place = _places(exchanges, kinds)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index, one in enumerate(exchanges):
        ends = _kind(one.source, kinds), _kind(one.destination, kinds)
        groups[ends, one.family, one.verdict.allowed].append(index)
    for group in groups.values():
        kept |= set(_of_group(exchanges, group, place))
    return [exchanges[index] for index in sorted(kept)]


def _kind(end: Endpoint, kinds: Mapping[str, Hashable]) -> Hashable:
    return (kinds[end.name], end.nic) if end.name in kinds else end


def _places(exchanges: Iterable[Expectation], kinds: Mapping[str, Hashable]) -> dict[Endpoint, int]:
    """The number of every end among those of its kind."""
    found: dict[Endpoint, int] = {}
    used: dict[Hashable, int] = defaultdict(int)
    for one in exchanges:
        for end in (one.source, one.destination):
            if end not in found:
                kind = _kind(end, kinds)
                found[end] = used[kind]
                used[kind] += 1
    return found


def _of_group(exchanges: Sequence[Expectation], group: Sequence[int], place: dict[Endpoint, int]) -> Iterator[int]:
    """The choice among exchanges between two kinds in one version of IP that all pass, or all do not."""
    by_pair: dict[tuple[Endpoint, Endpoint], list[int]] = defaultdict(list)
    by_need: dict[Hashable, list[int]] = defaultdict(list)
    for index in group:
        one = exchanges[index]
        by_pair[one.source, one.destination].append(index)
        for need in _needs(one):
            by_need[need].append(index)
    met: set[Hashable] = set()
    for (source, destination), offered in by_pair.items():
        index = offered[(place[destination] - place[source]) % len(offered)]
        met.update(_needs(exchanges[index]))
        yield index
    for number, (need, offered) in enumerate(by_need.items()):
        if need in met:
            continue
        start = number % len(offered)
        turned = (*offered[start:], *offered[:start])
        # Best is one that its other end lacks too.
        index = next((one for one in turned if not met.intersection(_needs(exchanges[one]))), turned[0])
        met.update(_needs(exchanges[index]))
        yield index


def _needs(one: Expectation) -> tuple[Hashable, Hashable]:
    """What an exchange shows of its source, and of its destination."""
    return (True, one.source, one.service, one.verdict.why), (False, one.destination, one.service, one.verdict.why)
