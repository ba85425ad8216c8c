"""The models of the stack file in place of YAML: as many stacks as the program wants."""

import pulumi

import provision
from provision.models import Machine, Network, Nic, Stack


def site(number: int) -> Stack:
    """One site: a network of its own with one machine."""
    return Stack(
        version=1,
        networks={"lan": Network(cidr=f"10.31.{number}.0/24")},
        machines={"db": Machine(image="micro", memory="96MiB", nics=[Nic(network="lan")])},
        outputs={"address": "${machine.db.address}"},
    )


def program() -> None:
    """Two sites of the same shape."""
    for number, name in enumerate(("north", "south"), 1):
        made = provision.deploy(site(number), name=name)
        pulumi.export(name, made.outputs["address"])


if __name__ == "__main__":
    program()
