"""Packets between hypervisors: the filters of each are proven to say what the file says of all."""

from dataclasses import replace
from pathlib import Path

import pytest
from provision_libvirt.provider import LibvirtProvider
from stack_requests import FACTS

from provision.diagnostics import SourceMap
from provision.loader import Loaded
from provision.models import Peer, Stack
from provision.spi import Capabilities
from provision.translate import Scope
from provision.verify.proof import Way, prove_planned

PLACES = {"west": {"platform": "libvirt", "config": {"uri": "qemu+ssh://west/system"}}}


def traffic(source, destination, *services, **more):
    return {"kind": "traffic", "from": source, "to": destination, "allow": list(services), **more}


POLICIES = {
    "web-to-db": traffic(["machine.web"], ["machine.db"], "tcp/5432"),
    "ping": traffic(["machine.*"], ["machine.*"], "icmp", "icmpv6"),
    "world": traffic(["outside"], ["machine.web"], "tcp/80"),
    "from-net": traffic(["network.back"], ["label.tier=front"], "tcp/9000-9010"),
    "out": traffic(["machine.db"], ["internet"], "tcp/443"),
}
ORDERED = {
    "never": {"kind": "traffic", "from": ["machine.db"], "to": ["machine.web"], "deny": ["tcp/22"], "order": 1},
    "all-tcp": traffic(["machine.*"], ["machine.*"], "tcp/1-1000", order=2),
    "closed": {"kind": "no_internet", "machines": ["machine.db"]},
    "outside": traffic(["machine.*"], ["outside"], "tcp/443", order=3),
}


def two(policies, **isolation):
    return Stack.model_validate(
        {
            "version": 1,
            "platform": "libvirt",
            "locations": PLACES,
            "networks": {
                "front": {"cidr": "10.1.0.0/24", "cidr6": "2001:470:1::/64", "internet": "routed"},
                "back": {"cidr": "10.2.0.0/24", "cidr6": "2001:470:2::/64", "internet": "routed", "location": "west"},
                "hidden": {"cidr": "10.7.0.0/24", "location": "west"},
            },
            "machines": {
                "web": {"image": "micro", "memory": "96MiB", "count": 2, "nics": [{"network": "front"}],
                        "labels": {"tier": "front"}},
                "db": {"image": "micro", "memory": "96MiB", "location": "west",
                       "nics": [{"network": "back"}, {"network": "hidden"}]},
            },
            "isolation": {"policies": policies, **isolation},
        }
    )  # fmt: skip


def proven(stack, provider=None):
    loaded = Loaded(stack, SourceMap(), (), Path("."))
    near = Capabilities("libvirt", FACTS, "one")
    far = Capabilities("libvirt", FACTS | {"host_addresses": []}, "two")
    plugin = provider or LibvirtProvider()
    sites = {"default": (plugin, near), "west": (plugin, far)}
    return prove_planned(loaded, plugin, near, Scope("shop", "dev"), {}, sites)


@pytest.mark.parametrize("policies", [{}, POLICIES, ORDERED], ids=["none", "allowed", "ordered"])
@pytest.mark.parametrize("default", ["deny", "allow"])
def test_the_filters_of_both_let_pass_what_the_file_allows_and_nothing_else(policies, default):
    proof = proven(two(policies, default=default))
    assert proof.holds, "\n".join(map(str, proof.differences)) + str(proof.unmodelled)
    assert proof.machines == 3


def test_a_network_elsewhere_that_would_be_taken_for_outside_is_found():
    class Careless(LibvirtProvider):
        def translate(self, request):
            return super().translate(replace(request, elsewhere=()))

    proof = proven(two({"out": traffic(["machine.web"], ["outside"], "tcp/443")}), Careless())
    assert any(one.way is Way.LEAK and "db" in one.destination for one in proof.differences)


def test_a_peer_elsewhere_that_would_be_left_out_is_found():
    class Forgetful(LibvirtProvider):
        def translate(self, request):
            if "db" in request.stack.machines:
                policies = dict(request.stack.isolation.policies)
                policies["web-to-db"] = policies["web-to-db"].model_copy(
                    update={"sources": [Peer.parse("192.0.2.1/32")]}
                )
                isolation = request.stack.isolation.model_copy(update={"policies": policies})
                request = replace(request, stack=request.stack.model_copy(update={"isolation": isolation}))
            return super().translate(request)

    proof = proven(two({"web-to-db": POLICIES["web-to-db"]}), Forgetful())
    assert ("web", "db") in {(one.source[:3], one.destination[:2]) for one in proof.differences if one.way is Way.GAP}
