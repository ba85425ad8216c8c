"""Addresses of machines: given once, kept in state.

A package of its own and not part of `provision.translate`: every process of a plugin serves `AddressPlan`, and must not
load the models of stack files for it.
"""

from provision.addressing.assigning import (
    AddressPlan,
    AddressPlanInputs,
    AddressPlanOutputs,
    AddressSpace,
    AssignedAddress,
    WantedAddress,
    allocate,
    mac,
)

__all__ = [
    "AddressPlan",
    "AddressPlanInputs",
    "AddressPlanOutputs",
    "AddressSpace",
    "AssignedAddress",
    "WantedAddress",
    "allocate",
    "mac",
]
