"""`verify`: a deployed stack against its file."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from provision.errors import PlatformError, ProvisionError, UserError
from provision.loader import Loaded
from provision.spi import CanProbe, KnowsAddresses, ProbeChannel, Provider
from provision.verify.endpoints import OUTSIDE, Endpoint, outside_endpoint
from provision.verify.evidence import gather
from provision.verify.intent import Intent
from provision.verify.pairs import MAX_PAIRS
from provision.verify.plan import make_plan
from provision.verify.report import VerifyReport, make_report
from provision.verify.run import Progress, run, silent
from provision.verify.state import DeployedStack


def verify(
    loaded: Loaded,
    deployed: DeployedStack,
    provider: Provider[Any, Any],
    session: Any,
    progress: Progress = silent,
    *,
    max_pairs: int = MAX_PAIRS,
) -> VerifyReport:
    """Hold a deployed stack against its file: by real packets between its machines, and by all other evidence.

    Args:
        loaded: the stack file, as it was deployed.
        deployed: the state of the stack.
        provider: the plugin of its platform.
        session: the plugin's session.
        progress: told of the phase, how much of it is done, and of how much; never from two threads at once.
        max_pairs: most ordered pairs of machines probed one by one.

    Raises:
        UserError: nothing is deployed, or the platform has no probes.
    """
    if not deployed.machines:
        raise UserError("there is nothing to verify: no machine is deployed", "run 'provision up' first")
    if not isinstance(provider, CanProbe):
        raise UserError(
            f"the platform '{provider.name}' has no way to send packets from inside its machines",
            "no evidence of kind 'probed' can be had on it",
        )
    downgraded = {policy.name for policy in deployed.downgraded}
    intent = Intent(loaded.stack, deployed.addresses(loaded.stack), downgraded)
    gathered = gather(loaded, deployed, provider, session)
    outside, missing, failed = _open_outside(provider, session)
    opened = {OUTSIDE: outside} if outside is not None else {}
    try:
        peer = _peer(outside, failed)
        plan = make_plan(intent, list(deployed.machines), peer, max_pairs=max_pairs)
    except BaseException:
        for channel in opened.values():
            channel.close()
        raise

    def open_channel(name: str) -> ProbeChannel:
        return provider.probe_channel(session, deployed.machines[name])

    ran = run(plan, open_channel, progress, opened=opened)
    ran = replace(ran, failures={**ran.failures, **failed})
    return make_report(loaded.stack, deployed, _file(loaded), plan, ran, missing, gathered)


def _open_outside(provider: CanProbe, session: Any) -> tuple[ProbeChannel | None, dict[str, str], dict[str, str]]:
    """The channel of the outside peer; else why there is none by the platform's nature, or why it failed."""
    try:
        channel = provider.outside_channel(session)
    except ProvisionError as error:
        return None, {}, {OUTSIDE: error.summary}
    if channel is None:
        return None, {OUTSIDE: "the platform has no probing peer beyond the stack's networks"}, {}
    return channel, {}, {}


def _peer(channel: ProbeChannel | None, failed: dict[str, str]) -> Endpoint | None:
    if channel is None:
        return None
    addresses: Sequence[str] = ()
    if isinstance(channel, KnowsAddresses):
        try:
            addresses = channel.addresses()
        except PlatformError as error:
            failed[OUTSIDE] = error.summary
    found = outside_endpoint(addresses)
    if found.ipv4 is None and found.ipv6 is None:
        failed.setdefault(OUTSIDE, "the probing peer does not say which addresses it has")
        return None
    return found


def _file(loaded: Loaded) -> str:
    """The name of the stack file itself; overlays come after it."""
    sources: Mapping[str, str] = loaded.source_map.sources
    return PurePath(next(iter(sources), "stack.yaml")).name
