"""Packets: protocols, ports and addresses as sets. Knows nothing of machines or platforms."""

from provision.packets.service import ANY_SERVICE, PROTOCOL_NUMBERS, Protocol, Service

__all__ = ["ANY_SERVICE", "PROTOCOL_NUMBERS", "Protocol", "Service"]
