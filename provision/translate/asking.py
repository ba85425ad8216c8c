"""What a live platform says of itself, and of what a stack refers to there."""

from dataclasses import replace
from typing import Any

from provision.models import Stack
from provision.spi import EXISTING, AsksForStack, Capabilities, FindsExisting, Provider


def capabilities_of(provider: Provider[Any, Any], session: Any, stack: Stack) -> Capabilities:
    """Everything that negotiation and translation of a stack need of the platform, asked once a run.

    Raises:
        ProvisionError: it does not answer.
    """
    if isinstance(provider, AsksForStack):
        told = provider.capabilities_for(session, stack)
    else:
        told = provider.capabilities(session)
    if not isinstance(provider, FindsExisting):
        return told
    return replace(told, facts={**told.facts, EXISTING: provider.existing(session, stack)})
