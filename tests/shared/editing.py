"""A stack of many machines that is edited at random, and what must stand on the platform after each edit."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

NETWORKS = ("front", "back", "ops")
PORTS = (22, 80, 443, 5432, 8080)


@dataclass
class Edited:
    """The stack file as data, and the edits.

    Attributes:
        chance: where the edits come from; the same seed gives the same ones.
        stack: what the file says.
        serial: makes names that were never there before.
    """

    chance: random.Random
    stack: dict[str, Any] = field(default_factory=dict)
    serial: int = 0

    @classmethod
    def of(cls, seed: int, groups: Mapping[str, int], singles: int) -> "Edited":
        """A stack with `groups` of so many machines each, and machines of which there is one."""
        made = cls(random.Random(seed))
        machines: dict[str, Any] = {name: _machine(made.chance) | {"count": n} for name, n in groups.items()}
        machines |= {f"one{number}": _machine(made.chance) for number in range(singles)}
        made.stack = {
            "version": 1,
            "platform": "memory",
            "networks": {name: {"cidr": f"10.{number}.0.0/16"} for number, name in enumerate(NETWORKS)},
            "machines": machines,
            "isolation": {"policies": {}},
        }
        for _ in range(3):
            made.add_policy()
        return made

    def text(self) -> str:
        return yaml.safe_dump(self.stack, sort_keys=False)

    def edit(self) -> str:
        """One edit at random; gives its name."""
        edits: tuple[Callable[[], None], ...] = (
            self.resize, self.count, self.add_machine, self.remove_machine, self.add_disk, self.remove_disk,
            self.grow_disk, self.add_nic, self.label, self.switch, self.add_policy, self.remove_policy, self.open_port,
        )  # fmt: skip
        before = self.text()
        while self.text() == before:  # such as the removal of a disk when there is none
            done = self.chance.choice(edits)
            done()
        return done.__name__.replace("_", " ")

    @property
    def machines(self) -> dict[str, Any]:
        found: dict[str, Any] = self.stack["machines"]
        return found

    @property
    def policies(self) -> dict[str, Any]:
        found: dict[str, Any] = self.stack["isolation"]["policies"]
        return found

    def _any(self) -> Any:
        return self.machines[self.chance.choice(sorted(self.machines))]

    def _name(self, begin: str) -> str:
        self.serial += 1
        return f"{begin}{self.serial}"

    def resize(self) -> None:
        machine = self._any()
        machine["memory"] = f"{self.chance.randrange(64, 512)}MiB"
        machine["cpus"] = self.chance.randrange(1, 5)

    def count(self) -> None:
        name = self.chance.choice([name for name, machine in sorted(self.machines.items()) if "count" in machine])
        self.machines[name]["count"] = max(1, self.machines[name]["count"] + self.chance.choice((-2, -1, 1, 2)))

    def add_machine(self) -> None:
        self.machines[self._name("new")] = _machine(self.chance)

    def remove_machine(self) -> None:
        spoken_of = {
            peer.removeprefix("machine.") for one in self.policies.values() for peer in one["from"] + one["to"]
        }
        free = [name for name, one in sorted(self.machines.items()) if "count" not in one and name not in spoken_of]
        if free:
            del self.machines[self.chance.choice(free)]

    def add_disk(self) -> None:
        self._any().setdefault("disks", {})[self._name("disk")] = {"size": "1GiB", "keep_on_delete": False}

    def remove_disk(self) -> None:
        disks = self._any().get("disks")
        if disks:
            del disks[self.chance.choice(sorted(disks))]

    def grow_disk(self) -> None:
        for disk in list(self._any().get("disks", {}).values())[:1]:
            disk["size"] = f"{int(disk['size'].removesuffix('GiB')) + 1}GiB"

    def add_nic(self) -> None:
        machine = self._any()
        free = [name for name in NETWORKS if name not in [nic["network"] for nic in machine["nics"]]]
        if free:
            machine["nics"].append({"network": self.chance.choice(free)})

    def label(self) -> None:
        self._any()["labels"] = {"tier": self.chance.choice(("gold", "silver", "tin"))}

    def switch(self) -> None:
        self._any()["power"] = self.chance.choice(("running", "stopped"))

    def add_policy(self) -> None:
        source, target = self.chance.sample(sorted(self.machines), 2)
        self.policies[self._name("open")] = {
            "kind": "traffic",
            "from": [self.chance.choice(("outside", f"machine.{source}"))],
            "to": [f"machine.{target}"],
            "allow": [f"tcp/{self.chance.choice(PORTS)}"],
        }

    def remove_policy(self) -> None:
        if self.policies:
            del self.policies[self.chance.choice(sorted(self.policies))]

    def open_port(self) -> None:
        if self.policies:
            policy = self.policies[self.chance.choice(sorted(self.policies))]
            policy["allow"] = sorted({*policy["allow"], f"tcp/{self.chance.choice(PORTS)}"})

    def expected(self) -> list[tuple[Any, ...]]:
        """What must stand on the platform: name, memory, processors, networks, power and disks of each machine."""
        found = []
        for name, machine in self.machines.items():
            names = [f"{name}-{index}" for index in range(machine["count"])] if "count" in machine else [name]
            found += [
                (
                    f"many-dev-{one}",
                    int(machine["memory"].removesuffix("MiB")),
                    machine["cpus"],
                    tuple(f"many-dev-{nic['network']}" for nic in machine["nics"]),
                    machine.get("power", "running"),
                    tuple(
                        sorted(
                            (f"many-dev-{one}-{disk}", int(said["size"].removesuffix("GiB")))
                            for disk, said in machine.get("disks", {}).items()
                        )
                    ),
                )
                for one in names
            ]
        return sorted(found)


def _machine(chance: random.Random) -> dict[str, Any]:
    return {
        "image": "micro",
        "memory": f"{chance.randrange(64, 512)}MiB",
        "cpus": chance.randrange(1, 5),
        "nics": [{"network": chance.choice(NETWORKS)}],
    }


def standing(store: Any) -> list[tuple[Any, ...]]:
    """What stands on the platform, as `Edited.expected` has it."""
    objects = store.objects()
    volumes = {f"/volumes/{item.name}": item for item in objects if item.kind == "compute:Volume"}
    networks = {item.id: item.name for item in objects if item.kind == "network:Network"}
    found, used = [], 0
    for item in objects:
        if item.kind != "compute:Server":
            continue
        said = item.properties
        disks = [volumes[path] for path in said["volumes"]]
        used += len(disks)
        found.append(
            (
                item.name,
                said["memory_mib"],
                said["cpus"],
                tuple(networks.get(nic["network"], nic["network"]) for nic in said["nics"]),
                said["power"],
                tuple(sorted((one.name, one.properties["size_gib"]) for one in disks)),
            )
        )
    assert used == len(volumes), "a disk was left behind"
    assert len(networks) == len(NETWORKS)
    return sorted(found)
