"""Native types of a plugin, typed by its own models; here those of the in-memory platform of `provision.testing`."""

import pulumi

import provision
from provision.testing.memory_functions import ListSizes, SizesArguments
from provision.testing.memory_models import NetworkInputs
from provision.testing.memory_types import Network, Server, Volume

servers = provision.native(Server)
networks = provision.native(Network)
volumes = provision.native(Volume)


def program() -> None:
    """A server with a volume in a network, on a platform that is configured here."""
    platform = provision.provider("memory", store=pulumi.Config("example").get("store"))
    there = pulumi.ResourceOptions(provider=platform)

    sizes = provision.invoke(ListSizes, SizesArguments(min_cpus=2), pulumi.InvokeOptions(provider=platform))
    front = networks("front", NetworkInputs(name="front", cidr="10.32.0.0/24", stack_id=provision.stack_id()), there)
    data = volumes("data", {"name": "data", "size_gib": 2}, there)
    web = servers(
        "web",
        {
            "name": "web",
            "image": "micro",
            "cpus": sizes.apply(lambda found: found.sizes[0].cpus),
            "memory_mib": 64,
            "nics": [{"network": front.output(lambda made: made.name), "address": "10.32.0.10"}],
            "volumes": [data.output(lambda made: made.path)],
            "password": pulumi.Output.secret("hush"),
        },
        there,
    )
    pulumi.export("address", web.output(lambda made: made.address))
    pulumi.export("network", web.output(lambda made: made.nics[0].network))


if __name__ == "__main__":
    program()
