"""A stack in several locations, before any engine: what belongs where, and what crosses from one to another."""

import pytest
from language_sample import Sample, sample_graph, stack

from provision.diagnostics import DiagnosticSink
from provision.errors import PolicyRefused, StackFileError, UserError
from provision.host.deploying.configuration import provider_config
from provision.host.deploying.stack import configured_for
from provision.spi import Capabilities, Verdict, unsupported
from provision.translate import Scope, address_inputs, agreements, allocate, at_once, place, translate_all

EAST, WEST = ({"platform": "sample", "config": {"endPoint": name}} for name in ("east", "west"))
NETWORKS = {
    "front": {"cidr": "10.1.0.0/24", "internet": "routed"},
    "back": {"cidr": "10.2.0.0/24", "cidr6": "fd00:2::/64", "internet": "routed", "location": "west"},
}
MACHINES = {
    "web": {"image": "micro", "memory": "64MiB", "count": 2, "nics": [{"network": "front"}], "labels": {"tier": "a"}},
    "db": {"image": "micro", "memory": "64MiB", "nics": [{"network": "back"}], "location": "west"},
}


def two(policies=None, **parts):
    isolation = {"policies": policies or {}}
    made = {"locations": {"west": WEST}, "networks": NETWORKS, "machines": MACHINES, "isolation": isolation}
    return stack(**made | parts)


def traffic(source, destination, **more):
    return {"kind": "traffic", "from": source, "to": destination, "allow": ["tcp/1"]} | more


def placed(made):
    return {part.location: part for part in place(made, DiagnosticSink())}


def whole(made, provider=None, identities=()):
    parts = place(made, DiagnosticSink())
    known = dict(identities)
    asked = [(part, provider or Sample(), Capabilities("sample", {}, known.get(part.location, ""))) for part in parts]
    agreed = agreements(asked, DiagnosticSink())
    scope = Scope("shop", "prod")
    assigned = {k: v for part in parts for k, v in allocate(address_inputs(part.stack, scope), {})[0].items()}
    return agreed, translate_all(agreed, assigned, scope, DiagnosticSink())


def peers(part, policy):
    found = part.stack.isolation.policies[policy]
    return [str(peer) for peer in found.sources], [str(peer) for peer in found.destinations]


def test_each_location_gets_what_is_there_and_no_more():
    parts = placed(two({"far": traffic(["machine.db"], ["machine.db"])}, outputs={"x": "1"}))
    assert list(parts) == ["default", "west"]
    assert [list(part.stack.machines) for part in parts.values()] == [["web"], ["db"]]
    assert [list(part.stack.networks) for part in parts.values()] == [["front"], ["back"]]
    assert [list(part.stack.isolation.policies) for part in parts.values()] == [[], ["far"]]
    assert parts["west"].config == {"endPoint": "west"}


def test_a_peer_elsewhere_is_the_prefix_of_its_network_until_addresses_are_known_and_then_those():
    made = two({"in": traffic(["machine.web", "host"], ["machine.db"]), "all": traffic(["machine.*"], ["machine.*"])})
    parts = placed(made)
    assert peers(parts["west"], "in") == (["10.1.0.0/24", "host"], ["machine.db"])
    assert peers(parts["default"], "in") == (["machine.web", "host"], ["10.2.0.0/24", "fd00:2::/64"])
    _, done = whole(made)
    first, second = (done.addresses[name][0].ipv4 for name in ("web-0", "web-1"))
    exact = parts["west"].exact(done.addresses)
    assert peers(exact, "in") == ([f"{first}/32", f"{second}/32", "host"], ["machine.db"])
    assert peers(exact, "all")[0] == ["machine.*", f"{first}/32", f"{second}/32"]


@pytest.mark.parametrize("peer", ["label.tier=a", "network.front"])
def test_labels_and_networks_name_machines_elsewhere_too(peer):
    assert peers(placed(two({"in": traffic([peer], ["machine.db"])}))["west"], "in")[0] == ["10.1.0.0/24"]


def test_an_instance_elsewhere_is_that_one_alone():
    made = two({"in": traffic(["machine.web-1"], ["machine.db"])})
    _, done = whole(made)
    (source,), _ = peers(placed(made)["west"].exact(done.addresses), "in")
    assert source == f"{done.addresses['web-1'][0].ipv4}/32"


def test_a_policy_goes_where_an_address_that_it_writes_may_be_a_machine_s():
    parts = placed(two({"in": traffic(["10.2.0.0/25"], ["machine.web"])}))
    assert all("in" in part.stack.isolation.policies for part in parts.values())
    assert "in" not in placed(two({"in": traffic(["10.9.0.0/25"], ["machine.web"])}))["west"].stack.isolation.policies


def test_only_networks_to_which_there_is_a_way_are_elsewhere():
    parts = placed(two())
    assert [str(prefix) for prefix in parts["default"].elsewhere] == ["10.2.0.0/24", "fd00:2::/64"]
    assert [str(prefix) for prefix in parts["west"].elsewhere] == ["10.1.0.0/24"]
    near = NETWORKS | {"back": NETWORKS["back"] | {"internet": "nat"}}
    assert placed(two(networks=near))["default"].elsewhere == ()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"back": {"internet": "nat"}}, "'db' has no address that is seen elsewhere"),
        ({"front": {"internet": "none"}}, "'web' has no address that is seen elsewhere"),
        ({"back": {"cidr": None}}, "they have no version of IP in common on routed networks"),
    ],
)
def test_what_cannot_cross_is_refused_where_it_is_required_and_downgraded_where_it_is_preferred(changed, reason):
    networks = {name: network | changed.get(name, {}) for name, network in NETWORKS.items()}
    policy = traffic(["machine.web"], ["machine.db"])
    with pytest.raises(PolicyRefused) as caught:
        whole(two({"cross": policy}, networks=networks))
    (found,) = caught.value.diagnostics
    assert found.path == ("isolation", "policies", "cross")
    assert f"it allows traffic from 'web' in 'default' to 'db' in 'west', and {reason}" in found.summary
    agreed, done = whole(two({"cross": policy | {"level": "preferred"}}, networks=networks))
    assert {one.decisions["cross"].verdict for one in agreed if "cross" in one.decisions} == {Verdict.DOWNGRADE}
    (component,) = [part for part in done.graph.components if part.name == "isolation/cross"]
    assert component.outputs["verdict"] == "downgrade"
    assert component.outputs["reason"].startswith("in 'default': it allows traffic")


def test_a_denial_between_machines_that_cannot_meet_needs_nothing_and_is_recorded():
    networks = {name: network | {"internet": "nat"} for name, network in NETWORKS.items()}
    denial = {"kind": "traffic", "from": ["machine.web"], "to": ["machine.db"], "deny": ["tcp/1"], "order": 1}
    provider = type("Ordering", (Sample,), {"refused": {}})()
    _, done = whole(two({"never": denial}, networks=networks), provider)
    (component,) = [part for part in done.graph.components if part.name == "isolation/never"]
    assert component.outputs["verdict"] == "enforce"


def test_a_routed_prefix_that_is_somewhere_else_too_is_refused():
    networks = NETWORKS | {"back": NETWORKS["back"] | {"cidr": "10.1.0.0/16"}}
    with pytest.raises(StackFileError) as caught:
        place(two(networks=networks), DiagnosticSink())
    assert "its addresses would lead to two places" in caught.value.diagnostics[0].summary
    apart = {name: network | {"internet": "nat", "cidr": "10.1.0.0/24"} for name, network in NETWORKS.items()}
    assert len(place(two(networks=apart), DiagnosticSink())) == 2


def test_all_that_several_locations_refuse_is_said_at_once():
    machines = {
        name: machine | {"disks": {"data": {"size": "1GiB", "encrypted": True}}} for name, machine in MACHINES.items()
    }
    with pytest.raises(StackFileError) as caught:
        whole(two(machines=machines))
    said = [item.summary for item in caught.value.diagnostics]
    assert len(said) == 2
    assert "'sample' (location 'default')" in said[0]
    assert "'sample' (location 'west')" in said[1]


def test_a_policy_that_one_location_cannot_hold_is_downgraded_everywhere():
    class Half(Sample):
        def supports(self, use, capabilities):
            if use.feature == "isolation.policies.traffic" and capabilities.identity == "two":
                return unsupported("it has no filters")
            return super().supports(use, capabilities)

    policy = traffic(["machine.*"], ["machine.*"], level="preferred")
    agreed, _ = whole(two({"all": policy}), Half(), {"default": "one", "west": "two"})
    assert [one.decisions["all"].verdict for one in agreed] == [Verdict.DOWNGRADE] * 2
    assert {one.decisions["all"].reason for one in agreed} == {"in 'west': it has no filters"}


def test_two_locations_that_are_the_same_are_refused():
    with pytest.raises(UserError, match="'default' and 'west' are the same: both lead to one-host"):
        whole(two(), identities={"default": "one-host", "west": "one-host"})


def test_texts_may_name_machines_of_any_location():
    seen = {}

    class Watching(Sample):
        def translate(self, request):
            seen.update(request.user_data)
            return sample_graph(request)

    data = {"template": True, "text": "ask ${machine.web-0.address}"}
    machines = MACHINES | {"db": MACHINES["db"] | {"user_data": data}}
    _, done = whole(two(machines=machines, outputs={"db": "${machine.db.address}"}), Watching())
    assert seen["db"] == f"ask {done.addresses['web-0'][0].ipv4}"
    assert done.outputs == {"db": done.addresses["db"][0].ipv4}


def test_what_serves_a_whole_location_has_its_name_unless_it_is_the_default():
    west, default = placed(two())["west"], placed(two())["default"]
    assert (default.named("pool"), west.named("pool")) == ("pool", "locations/west/pool")
    assert west.former("pool") == ()
    (alone,) = place(stack(platform=None, locations={"west": WEST, "east": EAST},
                           networks={}, machines={"db": {"image": "micro", "memory": "64MiB", "location": "west"}}),
                     DiagnosticSink())  # fmt: skip
    assert alone.former("pool") == ("pool", "locations/east/pool")


def test_every_node_is_at_one_location_and_names_stay_unique():
    _, done = whole(two())
    assert done.at["machines/db/server"] == "west"
    assert done.at["machines/web-0/server"] == "default"
    assert set(done.at) == {node.name for node in done.graph.nodes}


def test_a_configured_setting_wins_over_the_file_but_not_where_it_would_make_two_locations_one():
    (alone,) = place(stack(platform=None, locations={"east": EAST}), DiagnosticSink())
    configured = {"end_point": "mine", "retries": "9"}
    assert configured_for(alone, [alone], configured, Sample()) == configured
    three = place(two(locations={"west": WEST, "default": EAST}), DiagnosticSink())
    for part, expected in zip(three, ("east", "west"), strict=True):
        given = configured_for(part, three, configured, Sample())
        assert given == {"retries": "9"}
        assert provider_config(Sample(), part.config, given).model.end_point == expected


def test_the_failure_of_an_earlier_one_is_told_whichever_comes_first():
    def work(item):
        raise UserError(f"no {item}")

    with pytest.raises(UserError, match="no 1"):
        at_once(work, [1, 2, 3])
    assert at_once(str, [1, 2]) == ["1", "2"]
