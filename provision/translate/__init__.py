"""Negotiation with a platform, and driving its plugin's translation into native resources."""

from provision.addressing import (
    AddressPlan,
    AddressPlanInputs,
    AddressPlanOutputs,
    AddressSpace,
    AssignedAddress,
    WantedAddress,
    allocate,
    mac,
)
from provision.translate.asking import capabilities_of
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
from provision.translate.recorded import recall, record
from provision.translate.several import Agreement, Whole, agreements, at_once, translate_all

__all__ = [
    "AddressPlan",
    "AddressPlanInputs",
    "AddressPlanOutputs",
    "AddressSpace",
    "Agreement",
    "AssignedAddress",
    "Instance",
    "PlacedStack",
    "Scope",
    "Translation",
    "WantedAddress",
    "Whole",
    "address_inputs",
    "agreements",
    "allocate",
    "at_once",
    "capabilities_of",
    "features",
    "graph_data",
    "graph_json",
    "instances",
    "mac",
    "negotiate",
    "nic_addresses",
    "place",
    "recall",
    "record",
    "selected",
    "translate",
    "translate_all",
]
