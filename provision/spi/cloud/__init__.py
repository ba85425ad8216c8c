"""For plugins of clouds: platforms that give each object an id of its own, and have room for a mark in most of them.

Sessions and resource types that derive from these classes look at many objects with few calls, take up what interrupted
runs left, never touch what is another's, and keep state true when something fails. No other module of the interface
needs them.
"""

from provision.spi.cloud.describing import built, foreign, kept, normal, respelt, unfit
from provision.spi.cloud.native import NativeType, is_adopted
from provision.spi.cloud.parts import SEPARATOR, PartType
from provision.spi.cloud.reading import Kind, Live, Reader
from provision.spi.cloud.session import Attempt, CloudSession

__all__ = [
    "SEPARATOR",
    "Attempt",
    "CloudSession",
    "Kind",
    "Live",
    "NativeType",
    "PartType",
    "Reader",
    "built",
    "foreign",
    "is_adopted",
    "kept",
    "normal",
    "respelt",
    "unfit",
]
