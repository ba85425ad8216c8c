"""Names on the hypervisor: `project-stack-machine[-part]`, within libvirt's and the kernel's limits."""

from dataclasses import dataclass
from hashlib import blake2s

_FILTER_LIMIT = 60
_SERIAL_LIMIT = 20


def _shortened(text: str, limit: int) -> str:
    """`text`, or its beginning and a hash when it is longer than `limit`: still unique, still the same every time."""
    if len(text) <= limit:
        return text
    digest = blake2s(text.encode()).hexdigest()[:8]
    return f"{text[: limit - 9]}-{digest}"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one stack's native objects."""

    project: str
    stack: str

    @property
    def prefix(self) -> str:
        """What all of them begin with."""
        return f"{self.project}-{self.stack}"

    def native(self, *parts: str) -> str:
        """A domain, network or pool."""
        return "-".join((self.prefix, *parts))

    def filter(self, *parts: str) -> str:
        """A packet filter; the incarnation that is added later needs room."""
        return _shortened(self.native(*parts), _FILTER_LIMIT)

    def bridge(self, network: str) -> str:
        """A bridge device: at most 15 characters (IFNAMSIZ), so the name is a hash."""
        return "pv" + blake2s(self.native(network).encode()).hexdigest()[:10]

    @staticmethod
    def serial(disk: str) -> str:
        """Serial number of a disk, by which the guest finds it under /dev/disk/by-id."""
        return _shortened(disk, _SERIAL_LIMIT)
