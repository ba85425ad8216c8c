"""A stack drawn: what is in the picture, and its two languages."""

import shutil
import subprocess

import pytest
from click.testing import CliRunner

from provision.cli.commands.graph import command
from provision.errors import EnvironmentProblem
from provision.loader import load
from provision.verify.diagram import Arrow, as_dot, as_mermaid, draw

SHOP = """
version: 1
platform: libvirt
networks:
  front: {cidr: 10.1.0.0/24, internet: routed}
  back: {cidr: 10.2.0.0/24}
machines:
  web: {image: micro, memory: 96MiB, count: 2, labels: {tier: front}, nics: [{network: front}, {network: back}]}
  db: {image: micro, memory: 96MiB, nics: [{network: back}]}
isolation:
  services: {dns: true}
  policies:
    world: {kind: traffic, from: [outside], to: [label.tier=front], allow: [tcp/443]}
    store: {kind: traffic, from: [machine.web], to: [machine.db], allow: [any]}
    partner: {kind: traffic, from: [192.0.2.0/24], to: [machine.web], deny: [tcp/22], order: 1}
    quiet: {kind: no_internet, machines: [machine.db]}
    apart: {kind: peer_isolation, machines: [machine.web]}
"""


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "stack.yaml").write_text(SHOP)
    return folder


@pytest.fixture
def diagram(shop):
    return draw(load(shop).stack, "shop")


def test_every_policy_that_speaks_of_packets_is_an_arrow_once(diagram):
    assert set(diagram.arrows) == {
        Arrow("outside", "machine.web", True, "tcp/443 (world)"),
        Arrow("machine.web", "machine.db", True, "everything (store)"),
        Arrow("192.0.2.0/24", "machine.web", False, "denied: tcp/22 (partner)"),
        Arrow("machine.db", "internet", False, "denied: everything (quiet)", both=True),
        Arrow("machine.web", "machine.web", False, "denied: everything on one network (apart)", both=True),
    }
    assert len(diagram.arrows) == 5


def test_machines_are_on_their_networks(diagram):
    assert diagram.members == (
        ("machine.web", "network.front"),
        ("machine.web", "network.back"),
        ("machine.db", "network.back"),
    )
    assert diagram.title == "shop: what no arrow shows is denied"


def test_mermaid_names_every_box_once_and_marks_denials(diagram):
    text = as_mermaid(diagram)

    assert 'n2["web x 2<br/>micro<br/>tier=front"]' in text
    assert ' -.->|"denied: tcp/22 (partner)"| n2' in text
    assert '<-.->|"denied: everything (quiet)"|' in text
    assert text.count("linkStyle") == 1


def test_graphviz_draws_what_is_written(diagram):
    done = subprocess.run(["dot", "-Tsvg"], input=as_dot(diagram), capture_output=True, text=True, check=True)

    assert done.stdout.count('class="edge"') == len(diagram.members) + len(diagram.arrows)
    assert done.stderr == ""


def test_the_form_is_chosen_by_the_name_of_the_file(shop):
    file = shop / "picture.dot"

    done = CliRunner().invoke(command, [str(shop), "-o", str(file)], standalone_mode=False, catch_exceptions=False)

    assert done.return_value == 0
    assert file.read_text().startswith("digraph stack {")


def test_without_graphviz_the_way_out_is_told(shop, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)

    with pytest.raises(EnvironmentProblem, match="'dot' is not here") as caught:
        CliRunner().invoke(command, [str(shop), "--format", "svg"], standalone_mode=False, catch_exceptions=False)

    assert "--format mermaid" in caught.value.fix
