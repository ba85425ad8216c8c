"""Parts of moto whose time grows with all that there is, where it need not: tags of an object, a machine by its id.

What they answer stays the same.
"""

from typing import Any


def hasten() -> None:
    """Make this process's moto answer about one object without a look at all."""
    _find_tags_by_object()
    _find_machines_by_id()


def _find_tags_by_object() -> None:
    """Moto matches the id of an object against those of all tags, whenever it tells or filters one."""
    from moto.ec2.models import core
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

    kind: Any = core.TaggedEC2Resource

    def tags(self: Any) -> list[dict[str, str]]:
        known = self.ec2_backend.tags.get(self.id) if self.id else None
        if not known:
            return []
        resource = EC2_PREFIX_TO_RESOURCE.get(get_prefix(self.id), "")
        return [
            {"resource_id": self.id, "key": key, "value": value, "resource_type": resource}
            for key, value in known.items()
        ]

    kind.get_tags = tags


def _find_machines_by_id() -> None:
    """Moto looks through all machines for one, with each volume that is attached."""
    from moto.ec2.models import instances

    backend: Any = instances.InstanceBackend
    usual = backend.get_instance

    def get(self: Any, instance_id: str) -> Any:
        known = self.__dict__.setdefault("_machines_by_id", {})  # goes with the rest when the backend is reset
        if instance_id not in known:
            for reservation in reversed(self.reservations.values()):  # what is new is what is asked for
                known.update((one.id, one) for one in reservation.instances)
                if instance_id in known:
                    break
        return known[instance_id] if instance_id in known else usual(self, instance_id)

    backend.get_instance = get
