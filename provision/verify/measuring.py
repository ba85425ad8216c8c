"""Measuring: machines are made busy for some seconds, to see that the limits of shares hold them."""

from collections.abc import Sequence

from provision.errors import ProvisionError
from provision.models import Share, Stack
from provision.spi import CanMeasure, Evidence, EvidenceRequest, Shown
from provision.translate.instances import entry_names
from provision.verify.held import Held, entries, held
from provision.verify.places import Places, site_of
from provision.verify.run import Crew
from provision.verify.state import DeployedStack

UNASKED = Held(None, "not measured: --measure makes machines busy to see that limits hold them")
_UNABLE = "the plugin '{}' cannot make machines busy"
_NOBODY = "no machine of it could be made busy: {}"


def measure(
    stack: Stack, deployed: DeployedStack, places: Places, probed: Sequence[str], crew: Crew
) -> dict[str, Held]:
    """What busy machines show of each share, by its name; all machines are busy at once.

    Args:
        stack: what the file says.
        deployed: the stack as deployed.
        places: plugin and session by location.
        probed: machines that have a channel.
        crew: the open channels.
    """
    shares = stack.sharing.shares
    chosen = {name: entries(stack, share) for name, share in shares.items()}
    entry = entry_names(stack)
    about = {
        machine: [name for name, those in chosen.items() if entry.get(machine) in those]
        for machine in crew.able(probed)
        if machine in deployed.machines
    }
    found: dict[str, list[tuple[str, Sequence[Shown] | str]]] = {name: [] for name in shares}

    def work(machine: str) -> None:
        asked = about[machine]
        answers = _look(deployed, places, machine, [shares[name] for name in asked], crew)
        for name, answer in zip(asked, answers, strict=True):
            found[name].append((machine, answer))

    crew.each("measuring limits", [machine for machine, asked in about.items() if asked], work)
    why = next(iter(crew.failures.values()), "none has a probe agent")
    return {name: _together(answers, why) for name, answers in found.items()}


def _look(
    deployed: DeployedStack, places: Places, machine: str, shares: Sequence[Share], crew: Crew
) -> Sequence[Sequence[Shown] | str]:
    provider, session = site_of(places, deployed.location_of(machine))
    if not isinstance(provider, CanMeasure):
        return [[Shown(Evidence.PROBED, None, _UNABLE.format(provider.name))] for _ in shares]
    request = EvidenceRequest(deployed.machines[machine], tuple(shares))
    try:
        answers = list(provider.measure(session, crew.channel(machine), request))
    except ProvisionError as error:
        return [error.summary] * len(shares)
    if len(answers) != len(shares):
        return [f"the plugin gave {len(answers)} answers to {len(shares)} questions"] * len(shares)
    return answers


def _together(answers: Sequence[tuple[str, Sequence[Shown] | str]], why: str) -> Held:
    if not answers:
        return Held(None, _NOBODY.format(why))
    return held(answers, (Evidence.PROBED,))[Evidence.PROBED]
