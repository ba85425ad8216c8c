"""`verify`: a deployed stack against its file."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from provision.errors import EnvironmentProblem, PlatformError, ProvisionError, UserError
from provision.loader import Loaded
from provision.models.stack import DEFAULT_LOCATION
from provision.spi import (
    CanProbe,
    CanReadLiveRules,
    Evidence,
    KnowsAddresses,
    ProbeChannel,
    Provider,
)
from provision.verify.endpoints import OUTSIDE, Endpoint, outside_endpoint
from provision.verify.evidence import gather
from provision.verify.forging import Forged, Forgeries, forgeries, send
from provision.verify.gates import unmet
from provision.verify.intent import Intent
from provision.verify.measuring import UNASKED, measure
from provision.verify.pairs import ALL_PAIRS, MAX_PAIRS
from provision.verify.places import Places, site_of
from provision.verify.plan import LeftOut, ProbePlan, make_plan
from provision.verify.report import VerifyReport, make_report
from provision.verify.run import Crew, Progress, run, silent
from provision.verify.state import DeployedStack


def verify(
    loaded: Loaded,
    deployed: DeployedStack,
    provider: Provider[Any, Any],
    session: Any,
    progress: Progress = silent,
    *,
    max_pairs: int = MAX_PAIRS,
    exhaustive: bool = False,
    sites: Places | None = None,
    away: Mapping[str, str] = {},
    required: Collection[Evidence] = (),
    measuring: bool = False,
) -> VerifyReport:
    """Hold a deployed stack against its file: by real packets between its machines, and by all other evidence.

    Args:
        loaded: the stack file, as it was deployed.
        deployed: the state of the stack.
        provider: the plugin of its platform.
        session: the plugin's session.
        progress: told of the phase, how much of it is done, and of how much; never from two threads at once.
        max_pairs: most ordered pairs of machines probed one by one.
        exhaustive: whether every packet goes between every two machines, however many and however alike they are.
        sites: of a stack in several locations, plugin and session of each that can be reached.
        away: the others, and why not; what is there is not proven.
        required: kinds of evidence that no policy may lack, beside those that policies of the file ask for themselves.
        measuring: whether machines are made busy, to see that limits hold them.

    Raises:
        UserError: nothing is deployed, or the platform shows nothing of what passes between machines.
    """
    places = dict(sites or {"": (provider, session)})
    lacking = _lacking(deployed, places)
    gathered = gather(loaded, deployed, places, away)
    most = ALL_PAIRS if exhaustive else max_pairs
    ready = _prepare(loaded, deployed, places, away, lacking, most, exhaustive)
    outsides, plan = ready.outsides, ready.plan
    false: list[Forged] = []
    beyond: list[LeftOut] = []
    measured = dict.fromkeys(loaded.stack.sharing.shares, UNASKED)

    def forge(crew: Crew) -> None:
        tried, untried = send(ready.false.chosen, crew)
        false.extend(tried)
        beyond.extend(untried)

    def busy(crew: Crew) -> None:
        measured.update(measure(loaded.stack, deployed, places, list(plan.addresses), crew))

    more = [forge, busy] if measuring else [forge]
    ran = run(plan, ready.open_channel, progress, opened=outsides.opened, more=more)
    ran = replace(ran, failures={**ran.failures, **outsides.failed})
    gathered = replace(gathered, measured=measured)
    plan = replace(plan, left_out=(*plan.left_out, *beyond))
    report = make_report(loaded.stack, deployed, _file(loaded), plan, ran, outsides.missing, gathered, false)
    return replace(report, unmet=tuple(map(str, unmet(loaded.stack, report, required))))


@dataclass(frozen=True)
class Prepared:
    """What is to be probed, and the ways to do it.

    Attributes:
        plan: every probe.
        open_channel: opens the channel of a machine by its name; may raise.
        outsides: the peers beyond the stack's networks.
        false: the false senders to try.
    """

    plan: ProbePlan
    open_channel: Callable[[str], ProbeChannel]
    outsides: "Outsides"
    false: Forgeries


def prepare(
    loaded: Loaded,
    deployed: DeployedStack,
    places: Places,
    away: Mapping[str, str] = {},
    *,
    max_pairs: int = MAX_PAIRS,
    exhaustive: bool = False,
) -> Prepared:
    """Plan probes of a deployed stack; takes the arguments of `verify`, and raises the same errors.

    Pairs of machines are those of `max_pairs` here, also when between these everything is planned.
    """
    return _prepare(loaded, deployed, places, away, _lacking(deployed, places), max_pairs, exhaustive)


def _lacking(deployed: DeployedStack, places: Places) -> Mapping[str, str]:
    """Locations from whose machines nothing can be sent, and why.

    Raises:
        UserError: nothing can be shown at all.
    """
    if not deployed.machines:
        raise UserError("there is nothing to verify: no machine is deployed", "run 'provision up' first")
    lacks = {
        location: f"the platform '{one.name}' has no way to send packets from inside its machines"
        for location, (one, _) in places.items()
        if not isinstance(one, CanProbe)
    }
    if not any(isinstance(one, CanProbe | CanReadLiveRules) for one, _ in places.values()):
        raise UserError(
            next(iter(lacks.values())), "nor can its plugin read its live rules: nothing can be shown of what passes"
        )
    return lacks


def _prepare(
    loaded: Loaded,
    deployed: DeployedStack,
    places: Places,
    away: Mapping[str, str],
    lacks: Mapping[str, str],
    max_pairs: int,
    exhaustive: bool,
) -> Prepared:
    unable = {name: lacks[at] for name in deployed.machines if (at := deployed.location_of(name)) in lacks}
    downgraded = {policy.name for policy in deployed.downgraded}
    addresses = deployed.addresses(loaded.stack)
    intent = Intent(loaded.stack, addresses, downgraded)
    outsides = Outsides(places, deployed, away)
    try:
        plan = make_plan(
            intent, list(deployed.machines), outsides.peers(), max_pairs=max_pairs, exhaustive=exhaustive, unable=unable
        )
        false = forgeries(intent, addresses, plan)
        plan = replace(plan, left_out=(*plan.left_out, *false.left_out))
    except BaseException:
        outsides.close()
        raise

    def open_channel(name: str) -> ProbeChannel:
        if (location := deployed.location_of(name)) in away:
            raise EnvironmentProblem(away[location])
        one, its_session = site_of(places, location)
        assert isinstance(one, CanProbe)
        return one.probe_channel(its_session, deployed.machines[name])

    return Prepared(plan, open_channel, outsides, false)


class Outsides:
    """The peers beyond the stack's networks, one for each location that has one.

    Attributes:
        opened: their channels by name.
        missing: why a location has none by the platform's nature.
        failed: why one could not be opened or used.
    """

    def __init__(self, places: Places, deployed: DeployedStack, away: Mapping[str, str]) -> None:
        """Open those that there are."""
        alone = len(places) + len(away) == 1
        self.opened: dict[str, ProbeChannel] = {}
        self.missing: dict[str, str] = {}
        self.failed = {_outside(location, alone): why for location, why in away.items()}
        self._names: dict[str, str] = {}
        self._deployed = deployed
        for location, (provider, session) in places.items():
            name = _outside(location, alone)
            if not isinstance(provider, CanProbe):
                continue
            channel, missing, failed = _open_outside(provider, session, name)
            self.missing |= missing
            self.failed |= failed
            if channel is not None:
                self.opened[name] = channel
                self._names[location] = name

    def peers(self) -> Mapping[str, Endpoint]:
        """The peer of each machine that has one."""
        found = {
            location: peer
            for location, name in self._names.items()
            if (peer := _peer(self.opened[name], self.failed, name)) is not None
        }
        only = found.get("")
        peers = {name: only or found.get(self._deployed.location_of(name)) for name in self._deployed.machines}
        return {name: peer for name, peer in peers.items() if peer is not None}

    def close(self) -> None:
        """Let go of all of them."""
        for channel in self.opened.values():
            channel.close()


def _outside(location: str, alone: bool) -> str:
    """What the peer of a location is called."""
    return OUTSIDE if alone or location == DEFAULT_LOCATION else f"{OUTSIDE} ({location})"


def _open_outside(
    provider: CanProbe, session: Any, name: str
) -> tuple[ProbeChannel | None, dict[str, str], dict[str, str]]:
    """The channel of the outside peer; else why there is none by the platform's nature, or why it failed."""
    try:
        channel = provider.outside_channel(session)
    except ProvisionError as error:
        return None, {}, {name: error.summary}
    if channel is None:
        return None, {name: "the platform has no probing peer beyond the stack's networks"}, {}
    return channel, {}, {}


def _peer(channel: ProbeChannel, failed: dict[str, str], name: str) -> Endpoint | None:
    addresses: Sequence[str] = ()
    if isinstance(channel, KnowsAddresses):
        try:
            addresses = channel.addresses()
        except PlatformError as error:
            failed[name] = error.summary
    found = outside_endpoint(addresses, name)
    if found.ipv4 is None and found.ipv6 is None:
        failed.setdefault(name, "the probing peer does not say which addresses it has")
        return None
    return found


def _file(loaded: Loaded) -> str:
    """The name of the stack file itself; overlays come after it."""
    sources: Mapping[str, str] = loaded.source_map.sources
    return PurePath(next(iter(sources), "stack.yaml")).name
