"""Which breaks to make on a live platform: few, of every kind, and none that is harmless."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from provision.packets.sets import PacketSet
from provision.spi import Change
from provision.verify.selftest.mutants import Mutant
from provision.verify.selftest.natives import Native, Natives
from provision.verify.selftest.score import Bench, Fate, Layer


@dataclass(frozen=True)
class Break:
    """A break that can be made: what, where, with what, and on which packets it is to show."""

    mutant: Mutant
    native: Native
    inputs: Mapping[str, Any]
    changed: PacketSet
    bench: Bench
    static: bool


def able(natives: Natives, mutant: Mutant) -> bool:
    """Whether a break can be made: in place, of a resource that may be touched."""
    return mutant.change is Change.IN_PLACE and natives.get(mutant.node) is not None


def chosen(benches: Sequence[tuple[Bench, Sequence[Mutant]]], natives: Natives, most: int) -> Iterator[Break]:
    """At most so many breaks that are to be noticed, of each kind in turn: kinds are places in types of resources.

    The first kind of every type comes before the second of any: a type with many must not take all.
    """
    kinds: dict[tuple[Any, ...], list[tuple[Bench, Mutant]]] = defaultdict(list)
    for bench, found in benches:
        for mutant in found:
            if able(natives, mutant):
                native = natives.get(mutant.node)
                where = tuple(step for step in mutant.path if not isinstance(step, int))
                how = "gone" if mutant.text.endswith("taken away") else "other"
                kinds[native.state.token if native else "", where, how].append((bench, mutant))
    of_type: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for key in sorted(kinds, key=repr):
        of_type[key[0]].append(key)
    in_turn = [key for row in zip_longest(*of_type.values()) for key in row if key is not None]
    waiting = [iter(_spread(kinds[key])) for key in in_turn]
    left = most
    while waiting and left > 0:
        for one in list(waiting):
            made = next((made for pair in one if (made := _break(*pair, natives)) is not None), None)
            if made is None:
                waiting.remove(one)
                continue
            yield made
            left -= 1
            if not left:
                return


def _spread(items: Sequence[tuple[Bench, Mutant]]) -> Iterator[tuple[Bench, Mutant]]:
    """All of them, such that the first few are far from each other: by the bits of their place, the lowest first."""
    width = max(1, (len(items) - 1).bit_length())
    order = sorted(range(len(items)), key=lambda index: f"{index:0{width}b}"[::-1])
    return (items[index] for index in order)


def _break(bench: Bench, mutant: Mutant, natives: Natives) -> Break | None:
    """A break that is to be noticed; None when it changes nothing that matters, or refers to what is not there."""
    native, fate = natives.get(mutant.node), bench.fate(mutant)
    inputs = natives.inputs(mutant) if native is not None else None
    if native is None or inputs is None or not (isinstance(fate, Layer) or fate is Fate.MISSED):
        return None
    return Break(mutant, native, inputs, bench.changed(mutant), bench, isinstance(fate, Layer))
