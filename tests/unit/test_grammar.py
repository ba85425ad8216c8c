"""Everything that a stack file can ask: nothing of the grammar is left out, and answers are grouped truly."""

from pathlib import Path
from typing import ClassVar

import pytest
from language_sample import Sample

from provision.loader import load
from provision.models import Level, Posture
from provision.packets import Service
from provision.spi import ENFORCED, Capabilities, Evidence, Support, unsupported
from provision.translate import features
from provision.translate.grammar import answers, policies, policy_kinds, questions, refusals

ROOT = Path(__file__).parents[2]
STACKS = sorted((ROOT / "stacks").glob("*/stack.yaml"))
WIDE = """\
version: 1
platform: sample
images: {own: {sources: {any: {kind: url, url: "https://x.org/i", sha256: "%s"}}, user: me}}
networks:
  lan: {cidr: 10.0.0.0/24, internet: nat, dhcp: {enabled: true, range: [10.0.0.9, 10.0.0.20]}, dns: {a: 10.0.0.2}}
machines:
  web:
    image: own
    memory: 1GiB
    root: {size: 2GiB, encrypted: true}
    disks: {data: {size: 1GiB, iops: 100, throughput: 1MiB/s}}
    nics: [{network: lan, address: 10.0.0.5, mac: "02:00:00:00:00:01"}]
    ssh_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL3y9a1s5Bm9JxK2e3S3f+cHxR2rDwyz8pW89Tek678a]
    cloud_init: {packages: [x], runcmd: [[a, b]]}
    power: stopped
    ready_timeout: 9s
  db: {image: own, memory: 1GiB, user_data: {text: x}}
isolation:
  default: deny
  services: {dhcp: true}
  policies:
    t: {kind: traffic, from: [outside], to: [machine.web], allow: [tcp/1], deny: [udp/1], order: 1, revoke: cut}
    s: {kind: spread, machines: [machine.web], over: rack, max_per: 2}
sharing:
  shares: {all: {machines: [machine.web], cpu: {weight: 5}, memory: {balloon: true}, nic: {inbound: 1Mbit/s}}}
  pools: {host: {cpu_overcommit: 2}}
"""


@pytest.mark.parametrize("file", [*STACKS, None], ids=lambda file: file.parent.name if file else "wide")
def test_whatever_a_stack_file_asks_is_among_the_questions(file, tmp_path):
    if file is None:
        file = tmp_path / "stack.yaml"
        file.write_text(WIDE % ("0" * 64))
    asked = {use.feature for use in features(load(file).stack, "sample")}
    assert len(asked) >= 4
    assert asked - {question.use.feature for question in questions()} == set()


def test_every_kind_of_policy_is_asked_about_as_a_whole_and_by_field():
    found = [question.use for question in questions()]
    kinds = policy_kinds()
    assert len(kinds) >= 16
    for kind, model in kinds.items():
        whole = [use for use in found if use.feature == f"isolation.policies.{kind}"]
        assert [type(use.value) for use in whole] == [model]
        fields = {use.feature.rpartition(".")[2] for use in found if use.feature.startswith(f"{whole[0].feature}.")}
        assert fields == set(model.model_fields) - {"kind", "level", "evidence"}


def test_values_are_of_the_type_that_a_plugin_would_get():
    values = {}
    for question in questions():
        values.setdefault(question.use.feature, []).append(question.use.value)
        assert question.use.path, question
        assert question.use.owner is not None
    assert values["isolation.default"] == list(Posture)
    assert values["machines.power"] == ["running", "stopped"]
    assert values["machines.nics.public"] == [True, False]
    assert values["machines.memory"] == [2 << 30]
    assert [Service.parse("any")] in values["isolation.policies.traffic.allow"]
    whole = values["isolation.policies.spread"][0]
    assert (whole.level, str(whole.machines[0])) == (Level.REQUIRED, "machine.web")


class Picky(Sample):
    """Enforces what `said` enforces; everything else is refused."""

    said: ClassVar[dict] = {}

    def supports(self, use, capabilities):
        for prefix, answer in self.said.items():
            if use.feature == prefix or use.feature.startswith(f"{prefix}."):
                return answer(use) if callable(answer) else answer
        return unsupported("no such thing", "leave it out")


def said(**given):
    plugin = Picky()
    plugin.said = {name.replace("__", "."): answer for name, answer in given.items()}
    return answers(plugin, Capabilities("sample"))


def test_refusals_are_told_once_for_each_reason_and_branch():
    everything = refusals(said())
    assert [item.fields for item in everything] == [("images", "networks", "machines", "isolation.default",
                                                     "isolation.services", "sharing")]  # fmt: skip
    some = refusals(said(images=ENFORCED, networks=ENFORCED, isolation=ENFORCED, sharing=unsupported("not shared")))
    assert [(item.fields, item.reason) for item in some] == [
        (("machines",), "no such thing"),
        (("sharing",), "not shared"),
    ]


def test_a_value_that_alone_is_refused_is_named():
    found = said(
        isolation__policies__traffic__revoke=lambda use: ENFORCED if use.value == "cut" else unsupported("not kept"),
        isolation__policies__traffic=Support(True, evidence=frozenset({Evidence.PROBED})),
    )
    assert ("isolation.policies.traffic.revoke: keep",) in [item.fields for item in refusals(found)]
    traffic = next(policy for policy in policies(found) if policy.kind == "traffic")
    assert traffic.evidence == (Evidence.PROBED,)
    revoke = next(answer for answer in traffic.fields if answer.feature.endswith("revoke"))
    assert [(value, support.reason) for value, support in revoke.refused] == [("keep", "not kept")]


def test_a_switch_that_may_only_be_off_is_refused_as_a_whole():
    found = said(machines__nics__public=lambda use: ENFORCED if use.value is False else unsupported("none to give"))
    public = next(answer for answer in found if answer.feature == "machines.nics.public")
    assert [(value, support.reason) for value, support in public.refused] == [("", "none to give")]


def test_a_plugin_that_fails_on_a_question_refuses_it():
    found = said(machines__cpus=lambda use: 1 / 0, machines__memory=lambda use: True)
    by_feature = {answer.feature: answer.said[0][1] for answer in found}
    assert by_feature["machines.cpus"].reason == "the plugin fails on it: ZeroDivisionError: division by zero"
    assert by_feature["machines.memory"].reason == "the plugin does not answer with a `Support`"
