"""Rules of an organisation: what breaks them is refused before anything is made, with a packet and both places."""

import json
import runpy
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from provision.cli.main import main
from provision.errors import PluginError, PolicyRefused, StackFileError, UserError
from provision.loader import load, render
from provision.loader.rule_files import rule_files
from provision.models import Peer, Stack
from provision.spi import registry
from provision.translate import AssignedAddress, Scope, address_inputs, allocate, nic_addresses
from provision.verify.foreseen import foreseen
from provision.verify.guardrails import (
    Checked,
    Finding,
    StackView,
    check,
    check_files,
    installed_rules,
    json_schema,
    read_rules,
)

DOCS = Path(__file__).parents[2] / "docs"
STACK = """\
version: 1
platform: memory
networks:
  front: {cidr: 10.20.1.0/24, internet: routed}
  back: {cidr: 10.20.2.0/24}
machines:
  bastion: {image: micro, memory: 64MiB, nics: [{network: front}], labels: {role: bastion}}
  web: {image: micro, memory: 64MiB, count: 2, nics: [{network: front}], labels: {zone: dmz, env: prod}}
  pay:
    image: micro
    memory: 64MiB
    nics: [{network: front, address: 10.20.1.40}, {network: back}]
    labels: {zone: pci, env: prod}
    root: {encrypted: true}
    disks:
      data: {size: 1GiB}
      logs: {size: 1GiB, encrypted: true}
isolation:
  policies:
    world-to-pay:
      kind: traffic
      from: [outside]
      to: [label.zone=pci]
      allow: [tcp/8080, tcp/443]
    shell:
      kind: traffic
      from: [machine.bastion, machine.web]
      to: [label.env=prod]
      allow: [tcp/20-25]
    back:
      kind: traffic
      from: [outside]
      to: [network.back]
      allow: [udp/53]
"""


def said(tmp_path: Path, rules: str, stack: str = STACK) -> str:
    return "\n".join(str(item) for item in checked(tmp_path, rules, stack).diagnostics)


def checked(tmp_path: Path, rules: str, stack: str = STACK) -> Checked:
    (tmp_path / "stack.yaml").write_text(stack)
    (tmp_path / "org.yaml").write_text("version: 1\nrules:\n" + rules)
    return check_files(load(tmp_path), [tmp_path / "org.yaml"])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROVISION_RULES", raising=False)


# What rules can say


def test_what_must_not_be_reached_is_shown_open_by_a_packet_and_both_places(tmp_path: Path) -> None:
    found = checked(
        tmp_path,
        "  pci-closed:\n    kind: unreachable\n    description: Cards are never on the internet.\n"
        "    from: [internet]\n    to: [label.zone=pci]\n",
    )

    assert render(found.diagnostics, found.source_map) == (
        "stack.yaml:24:15: error: the rule 'pci-closed' is broken: tcp/8080 from internet (1.0.0.0) to "
        "pay (10.20.1.40) passes by the policy 'world-to-pay'\n"
        "   24 |       allow: [tcp/8080, tcp/443]\n"
        "      |               ^^^^^^^^\n"
        "  fix: narrow the policy 'world-to-pay'; the rule is at org.yaml:3:3 (Cards are never on the internet)\n"
        "stack.yaml:24:25: error: the rule 'pci-closed' is broken: tcp/443 from internet (1.0.0.0) to "
        "pay (10.20.1.40) passes by the policy 'world-to-pay'\n"
        "   24 |       allow: [tcp/8080, tcp/443]\n"
        "      |                         ^^^^^^^\n"
        "  fix: narrow the policy 'world-to-pay'; the rule is at org.yaml:3:3 (Cards are never on the internet)\n"
        "stack.yaml:34:15: warning: the rule 'pci-closed' is broken: udp/53 from internet (1.0.0.0) to "
        f"pay ({address(found)}) is allowed by the policy 'back', and only the networks give it no way\n"
        "   34 |       allow: [udp/53]\n"
        "      |               ^^^^^^\n"
        "  fix: narrow the policy 'back'; the rule is at org.yaml:3:3 (Cards are never on the internet)\n"
        "2 errors, 1 warning\n"
    )
    with pytest.raises(PolicyRefused, match="policy refused: the stack breaks rules of the organisation in 2 places"):
        found.refuse()


def address(found: Checked) -> str:
    """The derived address, of which only the network is known."""
    text = next(str(item) for item in found.diagnostics if "only the networks" in str(item))
    return text.partition("to pay (")[2].partition(")")[0]


def test_a_rule_for_some_services_speaks_of_no_other(tmp_path: Path) -> None:
    rule = "  r: {{kind: unreachable, from: [internet], to: [label.zone=*], services: [{}]}}\n"
    assert said(tmp_path, rule.format("tcp/444-8079, icmp, udp/54")) == ""
    assert "tcp/443 from internet" in said(tmp_path, rule.format("tcp/400-500"))


def test_all_but_those_that_may_are_looked_at(tmp_path: Path) -> None:
    rule = "  ssh: {{kind: only_from, from: [{}], to: [label.env=prod], services: [tcp/22]}}\n"
    assert said(tmp_path, rule.format("label.role=bastion, machine.web")) == ""
    found = said(tmp_path, rule.format("label.role=bastion"))
    assert "stack.yaml:29:15: error: the rule 'ssh' is broken: tcp/22 from web-0 (10.20.1." in found
    assert "so do 3 other pairs" in found  # each web reaches the other one, and pay


def test_a_default_that_allows_is_a_way_like_any_other(tmp_path: Path) -> None:
    open_ = STACK.replace("isolation:\n", "isolation:\n  default: allow\n")
    assert said(tmp_path, "  deny: {kind: default_deny}\n") == ""
    assert said(tmp_path, "  deny: {kind: default_deny}\n", open_).startswith(
        "stack.yaml:19:12: error: the rule 'deny'"
    )
    found = said(tmp_path, "  r: {kind: unreachable, from: [host], to: [machine.web]}\n", open_)
    assert "tcp/22 from host (front) (10.20.1.1) to web-0" in found
    assert "passes by 'default: allow'" in found


def test_infrastructure_services_are_a_way_too(tmp_path: Path) -> None:
    served = STACK.replace("isolation:\n", "isolation:\n  services: {dns: true}\n")
    rule = "  dns: {kind: unreachable, from: [machine.web], to: [host], services: [udp/53]}\n"
    assert said(tmp_path, rule) == ""
    assert "stack.yaml:19:19: error: the rule 'dns' is broken: udp/53 from web-0" in said(tmp_path, rule, served)


def test_groups_that_are_kept_apart_share_no_network(tmp_path: Path) -> None:
    rule = "  apart: {{kind: no_shared_network, machines: [label.zone=dmz], others: [{}]}}\n"
    assert said(tmp_path, rule.format("label.zone=none")).startswith("org.yaml:3:72: note: the rule 'apart' speaks of")
    assert said(tmp_path, rule.format("label.zone=pci")) == (
        "stack.yaml:12:12: error: the rule 'apart' is broken: 'pay' is on the network 'front', and so is 'web' "
        "(give one of them a network of its own; the rule is at org.yaml:3:3)"
    )
    assert "'web' is of both groups" in said(tmp_path, rule.format("label.env=prod"))


def test_every_disk_is_encrypted_by_itself_or_by_a_required_policy(tmp_path: Path) -> None:
    rule = "  disks: {kind: encrypted_disks, machines: [label.env=prod]}\n"
    policy = "    sealed: {{kind: disk_encryption, machines: [label.env=prod]{}}}\n"
    found = said(tmp_path, rule).splitlines()
    assert [line.partition(" (add")[0] for line in found] == [
        "stack.yaml:16:13: error: the rule 'disks' is broken: the disk 'data' of 'pay' is not encrypted",
        "stack.yaml:8:8: error: the rule 'disks' is broken: the disk that 'web' boots from is not encrypted",
    ]
    assert len(said(tmp_path, rule.replace("machines:", "boot: false, machines:")).splitlines()) == 1
    assert said(tmp_path, rule, STACK + policy.format("")) == ""
    wished = said(tmp_path, rule, STACK + policy.format(", level: preferred"))
    assert wished.count("; its policy is only preferred") == 2


def test_kinds_of_policies_can_be_demanded(tmp_path: Path) -> None:
    rule = "  firm: {kind: policy_required, machines: [machine.*], policies: [anti_spoofing]}\n"
    covered = STACK + "    own: {kind: anti_spoofing, machines: [machine.web, label.zone=pci]}\n"
    assert said(tmp_path, rule).count("no required policy 'anti_spoofing'") == 3
    assert "speaks of 'bastion'" in said(tmp_path, rule, covered)
    assert len(said(tmp_path, rule, covered).splitlines()) == 1


def test_a_rule_that_warns_stops_nothing(tmp_path: Path) -> None:
    found = checked(tmp_path, "  r: {kind: unreachable, level: warn, from: [internet], to: [machine.pay]}\n")
    assert {str(item.severity) for item in found.diagnostics} == {"warning"}
    found.refuse()


def test_a_rule_that_selects_nothing_is_said(tmp_path: Path) -> None:
    rules = (
        "  a: {kind: unreachable, from: [internet], to: [label.zone=gold]}\n"
        "  b: {kind: only_from, from: [machine.gone], to: [machine.bastion], services: [tcp/9]}\n"
        "  c: {kind: encrypted_disks, machines: [machine.gone]}\n"
    )
    fix = "(nothing to do, unless something was to be selected)"
    assert said(tmp_path, rules).splitlines() == [
        f"org.yaml:3:48: note: the rule 'a' speaks of nothing here: there is no label.zone=gold in this stack {fix}",
        f"org.yaml:4:30: note: there is no machine.gone in this stack, so that by the rule 'b' nobody may {fix}",
        f"org.yaml:5:40: note: the rule 'c' speaks of nothing here: there is no machine.gone in this stack {fix}",
    ]


# Rules files


def test_mistakes_in_a_rules_file_are_told_as_those_of_a_stack_file(tmp_path: Path) -> None:
    (tmp_path / "org.yaml").write_text(
        "version: 1\nrules:\n  Up:\n    kind: unreachble\n  b:\n    kind: unreachable\n    form: [internet]\n"
        "    to: [reference.a.b]\n    services: [tcp/99999]\n    level: error\n"
        "  c: {kind: encrypted_disks, machines: [internet], boot: yes}\n"
    )
    with pytest.raises(StackFileError) as refused:
        read_rules(tmp_path / "org.yaml")
    assert refused.value.summary == "7 errors in the rules file org.yaml"
    assert [str(item) for item in refused.value.diagnostics] == [
        "org.yaml:4:11: error: 'unreachble' is not a kind of rule (did you mean 'unreachable'?)",
        "org.yaml:7:5: error: the key 'form' is not known in the rule 'b' (did you mean 'from'? The keys here are: "
        "level, description, kind, from, to, services)",
        "org.yaml:8:10: error: 'reference.a.b': a rules file knows no references (write the prefix itself, such as "
        "10.0.0.0/8)",
        "org.yaml:9:16: error: 'tcp/99999' is not possible (ports run from 0 to 65535, the first not above the last)",
        "org.yaml:10:12: error: 'level' cannot be 'error' (write required or warn)",
        "org.yaml:11:41: error: 'internet' does not select machines (write machine.NAME, machine.* or label.KEY=VALUE)",
        "org.yaml:11:58: error: 'boot' must be true or false, not the text 'yes' (write true)",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "org.yaml:1:1: error: the rules file is empty"),
        ("- a\n", "org.yaml:1:1: error: the rules file must be a map"),
        ("version: 2\n", "org.yaml:1:10: error: version 2 is not known"),
        ("rules: {}\n", "org.yaml:1:1: error: the key 'version' is missing"),
        ("version: 1\nrules: [\n", "org.yaml:"),
    ],
)
def test_what_is_no_rules_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "org.yaml").write_text(text)
    with pytest.raises(StackFileError) as refused:
        read_rules(tmp_path / "org.yaml")
    assert str(refused.value.diagnostics[0]).startswith(message)


def test_every_place_that_names_rules_files_counts_and_none_takes_one_away(tmp_path: Path) -> None:
    for name in ("rules.yaml", "a.yaml", "b.yaml", "c.yaml"):
        (tmp_path / name).write_text("version: 1\n")
    environment = {"PROVISION_RULES": f"{tmp_path}/b.yaml:{tmp_path}/a.yaml"}
    found = rule_files(tmp_path, ["c.yaml"], [tmp_path / "a.yaml"], environment)
    assert [path.name for path in found] == ["a.yaml", "b.yaml", "c.yaml", "rules.yaml"]
    assert rule_files(tmp_path / "elsewhere", environment={}) == ()


def test_a_named_file_that_is_missing_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "stack.yaml").write_text(STACK)
    with pytest.raises(UserError, match=r"there is no org\.yaml"):
        check_files(load(tmp_path), [tmp_path / "org.yaml"])


def test_the_published_schema_takes_what_the_loader_takes(tmp_path: Path) -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    fine = (
        "version: 1\nx-own: {a: 1}\nrules:\n"
        "  a: {kind: unreachable, from: [internet], to: [label.zone=pci], services: [tcp/22], level: warn}\n"
        "  b: {kind: only_from, description: d, from: [10.0.0.0/8], to: [network.front]}\n"
        "  c: {kind: no_shared_network, machines: [machine.a], others: [machine.b]}\n"
        "  d: {kind: encrypted_disks, machines: [machine.*], boot: false}\n"
        "  e: {kind: default_deny}\n"
        "  f: {kind: policy_required, machines: [label.a=b], policies: [secure_boot, metadata]}\n"
    )
    (tmp_path / "org.yaml").write_text(fine)
    assert len(read_rules(tmp_path / "org.yaml").rules) == 6
    assert list(validator.iter_errors(yaml.safe_load(fine))) == []
    for bad in ("version: 2", "rules: {Up: {kind: default_deny}}", "rules: {a: {kind: other}}", "more: 1"):
        document = {"version": 1, **yaml.safe_load(bad)}
        assert list(validator.iter_errors(document)) != [], bad


# Rules in Python


def no_label(view: StackView) -> Iterator[Finding]:
    for name, machine in view.stack.machines.items():
        if "env" not in machine.labels:
            yield Finding(f"'{name}' has no label 'env'", ("machines", name), "add one")
    for item in view.passing([Peer.parse("machine.web")], [Peer.parse("machine.pay")]):
        if item.routed:
            yield Finding(f"{item} passes by {item.by}", item.path)


def test_a_rule_in_python_sees_the_models_and_who_reaches_whom(tmp_path: Path) -> None:
    (tmp_path / "stack.yaml").write_text(STACK)
    loaded = load(tmp_path)
    found = check(loaded.stack, loaded.source_map, {}, [], {"labels": no_label})
    assert [str(item) for item in found.diagnostics] == [
        "stack.yaml:7:12: error: the rule 'labels' is broken: 'bastion' has no label 'env' (add one)"
    ]
    assert found.rules == 1


def test_installed_rules_hold_for_every_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stack.yaml").write_text(STACK)
    entry = EntryPoint("labels", f"{__name__}:no_label", "provision.rules")
    monkeypatch.setattr("provision.verify.guardrails.installed.entry_points", lambda group: [entry])
    found = check_files(load(tmp_path), [])
    assert [str(item).partition(" from ")[0] for item in found.diagnostics] == [
        "stack.yaml:7:12: error: the rule 'labels' is broken: 'bastion' has no label 'env' (add one)",
        "stack.yaml:29:15: error: the rule 'labels' is broken: tcp/22",
    ]


def fails(view: StackView) -> list[Finding]:
    raise RuntimeError("boom")


def says_text(view: StackView) -> list[str]:
    return ["no Finding"]


def takes_two(view: StackView, more: int) -> list[Finding]:
    return []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fails", "the rule 'r' (test_guardrails:fails) failed: RuntimeError: boom"),
        ("says_text", "the rule 'r' (test_guardrails:says_text) gives a str, and not a Finding"),
        (
            "takes_two",
            "the rule 'r' (test_guardrails:takes_two) cannot be used: TypeError: missing a required argument",
        ),
        ("gone", "the rule 'r' (test_guardrails:gone) cannot be used: AttributeError: module"),
    ],
)
def test_an_installed_rule_that_does_not_work_stops_the_run(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "stack.yaml").write_text(STACK)
    loaded = load(tmp_path)

    def run() -> None:
        rules = installed_rules([EntryPoint("r", f"{__name__}:{name}", "provision.rules")])
        check(loaded.stack, loaded.source_map, {}, [], rules)

    with pytest.raises(PluginError) as refused:
        run()
    assert refused.value.summary.startswith(message)


# The command


@pytest.fixture
def validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "stack.yaml").write_text(STACK)
    (tmp_path / "rules.yaml").write_text(
        "version: 1\nrules:\n  pci: {kind: unreachable, from: [internet], to: [label.zone=pci], services: [tcp/443]}\n"
    )

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["validate", *words])
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return run


def test_validate_exits_with_3_when_a_rule_beside_the_file_is_broken(validate, tmp_path: Path) -> None:
    code, out, err = validate()
    assert (code, out) == (3, "")
    assert "stack.yaml:24:25: error: the rule 'pci' is broken: tcp/443 from internet" in err
    assert "the rule is at rules.yaml:3:3" in err
    document = json.loads(validate("--format", "json")[1])
    assert (document["succeeded"], document["valid"], len(document["diagnostics"])) == (False, True, 1)

    (tmp_path / "stack.yaml").write_text(STACK.replace(", tcp/443]", "]"))
    assert validate() == (0, "stack.yaml: valid: 4 machines, 2 networks, 3 policies, 1 rule kept\n", "")


def test_validate_takes_rules_by_option_variable_and_configuration(validate, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "rules.yaml").rename(tmp_path / "org.yaml")
    assert validate()[0] == 0
    assert validate("--rules", "org.yaml")[0] == 3
    monkeypatch.setenv("PROVISION_RULES", "org.yaml")
    assert validate()[0] == 3
    monkeypatch.delenv("PROVISION_RULES")
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: provision\n")
    for value in ("org.yaml", "[org.yaml]", "'[\"org.yaml\"]'"):
        (tmp_path / "Pulumi.dev.yaml").write_text(f"config:\n  provision:rules: {value}\n")
        assert validate()[0] == 3
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  provision:rules: '[org.yaml'\n")
    assert "there is no" in validate()[2]  # a list that cannot be read is not an empty one


def test_addresses_are_foreseen_beside_those_that_the_platform_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Keeping:
        """A platform that needs most of a network itself."""

        def reserved_addresses(self, network: Any) -> Any:
            return [str(network.cidr[number]) for number in range(41, 254)]

    monkeypatch.setattr(registry, "load", lambda name: Keeping())
    (tmp_path / "stack.yaml").write_text(STACK)
    loaded = load(tmp_path)
    kept = {str(network.cidr[number]) for network in loaded.stack.networks.values() for number in range(41, 254)}
    found = foreseen(loaded.stack, loaded.source_map, {})

    given = {nic.ipv4 for nics in found.values() for nic in nics}
    assert given
    assert not given & kept
    held: list[Any] = []
    monkeypatch.setattr("provision.verify.guardrails.whole.check", lambda *words: held.append(words[2]))
    (tmp_path / "org.yaml").write_text("version: 1\nrules: {}\n")
    check_files(loaded, [tmp_path / "org.yaml"])
    assert held == [found]


# The documentation


def test_the_rules_of_the_documentation_are_rules(tmp_path: Path) -> None:
    page = (DOCS / "rules.md").read_text()
    example = page.partition("```yaml\n# rules.yaml\n")[2].partition("```")[0]
    (tmp_path / "org.yaml").write_text(example)
    assert len(read_rules(tmp_path / "org.yaml").rules) == 6
    (tmp_path / "stack.yaml").write_text(STACK)
    found = check_files(load(tmp_path), [tmp_path / "org.yaml"])
    shown = page.partition("```text\n")[2].partition("```")[0].replace("rules.yaml:4:3", "org.yaml:3:3")
    assert shown in render(found.diagnostics, found.source_map) + "\n"


def test_the_python_rules_of_the_documentation_run(tmp_path: Path) -> None:
    (tmp_path / "stack.yaml").write_text(STACK.replace("allow: [tcp/8080, tcp/443]", "allow: [tcp/443, udp/53]"))
    loaded = load(tmp_path)
    example: dict[str, Any] = runpy.run_path(str(DOCS / "examples/rules.py"))
    found = check(loaded.stack, loaded.source_map, {}, [], {"owners": example["owners"]})
    assert len(found.broken) == 3
    web = StackView(loaded.stack, nic_addresses(loaded.stack, assigned(loaded.stack)))
    assert [str(item.level) for item in example["nothing_but_web"](web)] == ["warn"]


def assigned(stack: Stack) -> dict[str, AssignedAddress]:
    return allocate(address_inputs(stack, Scope("", "")), {})[0]
