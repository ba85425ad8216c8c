import pytest
from language_sample import Sample, stack

from provision.diagnostics import DiagnosticSink, Severity
from provision.errors import PolicyRefused, StackFileError
from provision.spi import EXISTING, Capabilities, Evidence, FeatureUse, Objection, Support, Verdict, unsupported
from provision.translate import capabilities_of, features, negotiate

CAPABILITIES = Capabilities("sample")
WEB = {"kind": "traffic", "from": ["outside"], "to": ["machine.web"], "allow": ["tcp/80"]}
APART = {"kind": "spread", "machines": ["machine.*"], "over": "host"}


def policies(**given):
    return {"isolation": {"policies": given}}


def asked(made):
    return {use.feature: use for use in features(made, "sample")}


def test_every_written_leaf_is_asked_about_with_its_place_in_the_file():
    found = asked(
        stack(
            images={
                "own": {
                    "sources": {
                        "sample": {"kind": "builtin", "name": "micro"},
                        "other": {"kind": "named", "name": "x"},
                    }
                }
            },
            isolation={"default": "deny", "services": {"dhcp": True}, "policies": {"web": WEB}},
        )
    )
    assert {feature: use.path for feature, use in found.items()} == {
        "images.sources.builtin": ("images", "own", "sources", "sample"),
        "images.sources.builtin.name": ("images", "own", "sources", "sample", "name"),
        "networks.cidr": ("networks", "back", "cidr"),
        "networks.cidr6": ("networks", "back", "cidr6"),
        "machines.image": ("machines", "db", "image"),
        "machines.memory": ("machines", "db", "memory"),
        "machines.nics.network": ("machines", "db", "nics", 1, "network"),
        "isolation.default": ("isolation", "default"),
        "isolation.services.dhcp": ("isolation", "services", "dhcp"),
        "isolation.policies.traffic": ("isolation", "policies", "web"),
        "isolation.policies.traffic.sources": ("isolation", "policies", "web", "from"),
        "isolation.policies.traffic.destinations": ("isolation", "policies", "web", "to"),
        "isolation.policies.traffic.allow": ("isolation", "policies", "web", "allow"),
    }


def test_matters_of_the_framework_and_of_other_platforms_are_not_asked():
    made = stack(
        machines={
            "web": {
                "image": "micro",
                "memory": "64MiB",
                "count": 1,
                "labels": {"a": "b"},
                "renamed_from": "site",
                "size": {"other": "large"},
                "overrides": {"other": {"x": 1}},
            }
        }
    )
    assert [f for f in asked(made) if f.startswith("machines.")] == ["machines.image", "machines.memory"]


def test_sizes_and_overrides_of_this_platform_are_asked():
    machine = {"image": "micro", "memory": "1GiB", "size": {"sample": "big"}, "overrides": {"sample": {"x": 1}}}
    found = asked(stack(machines={"web": machine}))
    assert found["machines.size"].value == "big"
    assert found["machines.overrides"].path == ("machines", "web", "overrides", "sample")


def test_what_is_there_already_is_asked_of_its_own_platform_alone():
    networks = {"lan": {"cidr": "10.0.0.0/24", "existing": {"sample": {"id": "n1"}, "other": {"id": "n2"}}}}
    nic = {"network": "lan", "existing": {"sample": {"groups": ["g1"]}}}
    found = asked(stack(networks=networks, machines={"web": {"image": "micro", "memory": "1GiB", "nics": [nic]}}))
    assert found["networks.existing"].value == {"id": "n1"}
    assert found["networks.existing"].path == ("networks", "lan", "existing", "sample")
    assert found["machines.nics.existing"].path == ("machines", "web", "nics", 0, "existing", "sample")


def test_what_a_stack_refers_to_is_a_fact_for_those_who_look():
    class Plain(Sample):
        def capabilities(self, session):
            return CAPABILITIES

    class Looking(Plain):
        def capabilities_for(self, session, stack):
            return Capabilities(CAPABILITIES.platform, {"asked for": sorted(stack.networks)})

        def existing(self, session, stack):
            return {"session": session}

    made = stack(networks={"lan": {"cidr": "10.0.0.0/24"}})
    assert capabilities_of(Plain(), "s", made) == CAPABILITIES
    assert capabilities_of(Looking(), "s", made).facts == {"asked for": ["lan"], EXISTING: {"session": "s"}}


def test_an_enforced_policy_is_decided_with_its_evidence():
    decisions = negotiate(stack(**policies(web=WEB)), Sample(), CAPABILITIES, DiagnosticSink())
    assert decisions["web"].verdict is Verdict.ENFORCE
    assert decisions["web"].evidence == {Evidence.TRANSLATED, Evidence.PROBED}


def test_a_required_policy_that_cannot_be_enforced_is_refused_with_reason_place_and_fix():
    with pytest.raises(PolicyRefused) as caught:
        negotiate(stack(**policies(apart=APART, web=WEB)), Sample(), CAPABILITIES, DiagnosticSink())
    assert caught.value.exit_code == 3
    (found,) = caught.value.diagnostics
    assert found.path == ("isolation", "policies", "apart")
    assert found.summary == "policy 'apart' cannot be enforced on 'sample': there is one host only"
    assert found.fix == (
        "choose a platform with several hosts; or write 'level: preferred' to go on without it, reported as a downgrade"
    )


def test_an_unsupported_part_refuses_the_whole_policy_at_the_part():
    ordered = WEB | {"deny": ["tcp/81"], "order": 3}
    with pytest.raises(PolicyRefused) as caught:
        negotiate(stack(**policies(web=ordered)), Sample(), CAPABILITIES, DiagnosticSink())
    (found,) = caught.value.diagnostics
    assert found.path == ("isolation", "policies", "web", "order")
    assert found.summary == "policy 'web' ('order') cannot be enforced on 'sample': rules have no order here"


def test_a_preferred_policy_is_downgraded_and_said_so():
    sink = DiagnosticSink()
    decisions = negotiate(stack(**policies(apart=APART | {"level": "preferred"})), Sample(), CAPABILITIES, sink)
    assert decisions["apart"].verdict is Verdict.DOWNGRADE
    assert decisions["apart"].reason == "there is one host only"
    (found,) = sink
    assert found.severity is Severity.WARNING
    assert found.summary == "policy 'apart' is not enforced: there is one host only"


def test_an_unsupported_field_outside_policies_is_an_error_but_no_refused_policy():
    disks = {"data": {"size": "1GiB", "encrypted": True}}
    with pytest.raises(StackFileError) as caught:
        negotiate(
            stack(machines={"db": {"image": "micro", "memory": "1GiB", "disks": disks}}),
            Sample(),
            CAPABILITIES,
            DiagnosticSink(),
        )
    assert not isinstance(caught.value, PolicyRefused)
    (found,) = caught.value.diagnostics
    assert found.path == ("machines", "db", "disks", "data", "encrypted")
    assert found.fix == "remove 'encrypted'"


def test_everything_is_reported_in_one_go():
    machines = {"db": {"image": "mikro", "memory": "1GiB", "disks": {"data": {"size": "1GiB", "encrypted": True}}}}
    with pytest.raises(PolicyRefused) as caught:
        negotiate(stack(machines=machines, **policies(apart=APART)), Sample(), CAPABILITIES, DiagnosticSink())
    assert len(caught.value.diagnostics) == 3


@pytest.mark.parametrize(
    ("images", "name", "summary", "fix"),
    [
        ({}, "mikro", "there is no image called 'mikro'", "did you mean 'micro'?"),
        (
            {"debian": {"sources": {"other": {"kind": "named", "name": "x"}}}},
            "debian",
            "image 'debian' has no source for 'sample'",
            "add 'sample:' or 'any:' under images.debian.sources",
        ),
    ],
)
def test_images_that_the_platform_does_not_have_are_named(images, name, summary, fix):
    machines = {"db": {"image": name, "memory": "1GiB"}}
    with pytest.raises(StackFileError) as caught:
        negotiate(stack(images=images, machines=machines), Sample(), CAPABILITIES, DiagnosticSink())
    (found,) = caught.value.diagnostics
    assert (found.summary, found.fix, found.path) == (summary, fix, ("machines", "db", "image"))


def test_a_source_of_any_platform_will_do():
    images = {"debian": {"sources": {"any": {"kind": "builtin", "name": "tiny"}}}}
    machines = {"db": {"image": "debian", "memory": "1GiB"}}
    assert negotiate(stack(images=images, machines=machines), Sample(), CAPABILITIES, DiagnosticSink()) == {}


def test_a_plugin_that_knows_nothing_enforces_nothing():
    class Ignorant(Sample):
        def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
            return unsupported("not known")

    made = stack(**policies(web=WEB))
    with pytest.raises(PolicyRefused) as caught:
        negotiate(made, Ignorant(), CAPABILITIES, DiagnosticSink())
    outside_policies = [use for use in features(made, "sample") if use.path[:2] != ("isolation", "policies")]
    assert len(caught.value.diagnostics) == len(outside_policies) + 1


def test_a_rate_is_told_as_it_is_written():
    class Unlimited(Sample):
        def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
            return unsupported("not here") if "nic" in use.feature else Support(True)

    made = stack(sharing={"shares": {"s": {"machines": ["machine.web"], "nic": {"inbound": "10 Mbit/s"}}}})
    with pytest.raises(StackFileError) as caught:
        negotiate(made, Unlimited(), CAPABILITIES, DiagnosticSink())
    said = [found.summary for found in caught.value.diagnostics]
    assert "'inbound: 10Mbit/s' cannot be enforced on 'sample': not here" in said


def test_a_switch_and_words_for_a_platform_are_told_as_they_are_written():
    class Plain(Sample):
        def supports(self, use: FeatureUse, capabilities: Capabilities) -> Support:
            refused = use.feature.endswith(("autostart", "overrides.sample", "overrides"))
            return unsupported("not here") if refused else Support(True)

    made = stack()
    web = made.machines["web"].model_copy(update={"autostart": True, "overrides": {"sample": {"speed": 2}}})
    with pytest.raises(StackFileError) as caught:
        negotiate(made.model_copy(update={"machines": {"web": web}}), Plain(), CAPABILITIES, DiagnosticSink())
    assert [found.summary for found in caught.value.diagnostics] == [
        "'autostart: true' cannot be enforced on 'sample': not here",
        "'overrides.sample' cannot be enforced on 'sample': not here",
    ]


def test_what_a_platform_cannot_do_together_refuses_or_downgrades():
    class Small(Sample):
        def objections(self, stack, capabilities):
            for name in stack.isolation.policies:
                yield Objection(("isolation", "policies", name), "two are too many", "take one")
            if stack.sharing.pools:
                yield Objection(("sharing", "pools", "host"), "it is full")

    asked_for = policies(web=WEB, soft={**WEB, "level": "preferred"})
    sink = DiagnosticSink()
    with pytest.raises(PolicyRefused):
        negotiate(stack(**asked_for), Small(), CAPABILITIES, sink)
    assert [(str(found.severity), found.summary) for found in sink] == [
        ("error", "policy 'web' cannot be enforced on 'sample': two are too many"),
        ("warning", "policy 'soft' is not enforced: two are too many"),
    ]
    decided = negotiate(stack(**policies(soft={**WEB, "level": "preferred"})), Small(), CAPABILITIES, DiagnosticSink())
    assert (decided["soft"].verdict, decided["soft"].reason) == (Verdict.DOWNGRADE, "two are too many")
    with pytest.raises(StackFileError) as caught:
        negotiate(stack(sharing={"pools": {"host": {}}}), Small(), CAPABILITIES, DiagnosticSink())
    assert [found.summary for found in caught.value.diagnostics] == [
        "'host' cannot be enforced on 'sample': it is full"
    ]


def test_what_a_platform_only_warns_of_is_done_all_the_same():
    class Full(Sample):
        def objections(self, stack, capabilities):
            yield Objection(("sharing", "pools", "host"), "it is full", "take a larger one", warns=True)

    sink = DiagnosticSink()
    decided = negotiate(stack(**policies(web=WEB)), Full(), CAPABILITIES, sink)
    assert decided["web"].verdict is Verdict.ENFORCE
    assert [(str(found.severity), found.summary, found.fix) for found in sink] == [
        ("warning", "it is full", "take a larger one")
    ]
