"""Negotiation with a platform, and driving its plugin's translation into native resources."""

from provision.translate.addresses import (
    AddressPlan,
    AddressPlanInputs,
    AddressPlanOutputs,
    AddressSpace,
    AssignedAddress,
    WantedAddress,
    allocate,
    mac,
)
from provision.translate.canonical import graph_data, graph_json
from provision.translate.features import features
from provision.translate.instances import Instance, instances, selected
from provision.translate.location import PlacedStack, place
from provision.translate.negotiate import negotiate
from provision.translate.plan import (
    Scope,
    Translation,
    address_inputs,
    nic_addresses,
    translate,
)

__all__ = [
    "AddressPlan",
    "AddressPlanInputs",
    "AddressPlanOutputs",
    "AddressSpace",
    "AssignedAddress",
    "Instance",
    "PlacedStack",
    "Scope",
    "Translation",
    "WantedAddress",
    "address_inputs",
    "allocate",
    "features",
    "graph_data",
    "graph_json",
    "instances",
    "mac",
    "negotiate",
    "nic_addresses",
    "place",
    "selected",
    "translate",
]
