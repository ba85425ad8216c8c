"""The rules that a platform really applies to a deployed stack, compared with its file."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from provision.models import Stack
from provision.packets.sets import PacketSpace
from provision.spi import CanReadLiveRules, LiveRulesRequest, NicAddress
from provision.verify.proof.compare import MOST, Proof, differences
from provision.verify.proof.ends import Ends
from provision.verify.proof.intent import IntentSet
from provision.verify.state import DeployedStack


def prove_applied(
    stack: Stack,
    deployed: DeployedStack,
    reader: CanReadLiveRules,
    session: Any,
    *,
    most: int = MOST,
    everywhere: Mapping[str, Sequence[NicAddress]] | None = None,
    here: frozenset[str] | None = None,
) -> Proof | str:
    """Compare what the file says with what the platform lets pass now, or say why that cannot be seen.

    Args:
        stack: what the file says.
        deployed: the stack as it was last deployed.
        reader: the platform's plugin.
        session: the plugin's session.
        most: how many differences to name.
        everywhere: of a stack in several locations, the NICs of all machines that `stack` has.
        here: and the networks of the location that is looked at.

    Raises:
        ProvisionError: a machine is not there, or the platform does not answer.
    """
    space, addresses = PacketSpace(len(deployed.machines)), deployed.addresses(stack)
    machines = [deployed.machines[name] for name in addresses]
    readout = reader.read_live_rules(session, LiveRulesRequest(space, machines, addresses))
    if isinstance(readout, str):
        return readout
    ends = Ends(stack, everywhere or addresses, readout.host_addresses, here)
    found = differences(IntentSet(space, ends, [record.name for record in deployed.downgraded]), readout)
    examples, policies = tuple(islice(found, most)), len(stack.isolation.policies)
    return Proof(examples, readout.unmodelled, len(addresses), policies, readout.kind)
