"""`--replace`: names of what is made anew, what goes with them, and the data that is not lost by the way."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click import Command
from click.testing import CliRunner

from provision.cli.commands.preview import command as preview
from provision.cli.commands.up import command as up
from provision.errors import UserError
from provision.host.events import name_of
from provision.host.permission import VARIABLE, Permission
from provision.host.replacing import allowed, chosen, losing

MARKED = {"__data": {"lost": "removed"}}
LAB = {
    "machines/web-0/root": ("provision-libvirt:storage:Volume", MARKED),
    "machines/web-0/domain": ("provision-libvirt:domain:Domain", {}),
    "machines/web-0/disk-data": ("provision-libvirt:storage:Volume", {"__data": {"lost": "replaced"}}),
    "machines/web-0/nic-0/filter": ("provision-libvirt:nwfilter:Filter", {}),
    "machines/web-1/domain": ("provision-libvirt:domain:Domain", {}),
    "networks/front/network": ("provision-libvirt:network:Network", {}),
    "addresses": ("provision-libvirt:index:AddressPlan", {}),
    "pool": ("provision-libvirt:storage:Pool", {}),
    "machines/web-0": ("provision:index:Machine", {}),
}


def state(natives: dict[str, Any]) -> dict[str, Any]:
    return {
        "resources": [
            {"urn": f"urn:pulumi:dev::shop::provision:index:Stack${kind}::{name}", "type": kind, "outputs": outputs}
            for name, (kind, outputs) in natives.items()
        ]
    }


def found(*names: str) -> list[str]:
    return [name_of(item.urn) for item in chosen(state(LAB), names)]


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        (["web-0"], ["machines/web-0/root", "machines/web-0/domain"]),
        (["machines/web-0"], ["machines/web-0/root", "machines/web-0/domain"]),
        (["web-0/data"], ["machines/web-0/disk-data"]),
        (["machines/web-0/disk-data"], ["machines/web-0/disk-data"]),
        (["machines/web-0/nic-0/filter"], ["machines/web-0/nic-0/filter"]),
        (["networks/front"], ["networks/front/network"]),
        (["web-1", "pool"], ["machines/web-1/domain", "pool"]),
        (["web-?"], ["machines/web-0/root", "machines/web-0/domain", "machines/web-1/domain"]),
    ],
)
def test_a_name_is_that_of_a_stack_file(names: list[str], meant: list[str]) -> None:
    assert found(*names) == meant


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("web-2", "did you mean 'web-1', 'web-0' or 'web-0/data'?"),
        ("machines/web-9", "did you mean 'machines/web-1'"),
        ("networks/frond", "did you mean 'networks/front'?"),
        ("addresses", "deployed are networks/front, pool, web-0, web-0/data, web-1"),
        ("db-*", "deployed are networks/front, pool, web-0, web-0/data, web-1"),
    ],
)
def test_a_name_of_nothing_is_refused_with_what_is_near(name: str, fix: str) -> None:
    with pytest.raises(UserError) as refused:
        found("web-0", name)
    assert refused.value.summary == f"there is nothing called '{name}' to replace"
    assert (refused.value.fix or "").startswith(fix)


def test_of_an_empty_stack_nothing_is_replaced() -> None:
    with pytest.raises(UserError) as refused:
        chosen({}, ["web"])
    assert refused.value.fix == "nothing is deployed: run `provision up` first"


@pytest.mark.parametrize(("mark", "key"), [("protect", "delete_protection"), ("retainOnDelete", "keep_on_delete")])
def test_what_is_protected_or_kept_is_not_made_anew(mark: str, key: str) -> None:
    lab = state(LAB)
    (disk,) = [item for item in lab["resources"] if item["urn"].endswith("/disk-data")]
    disk[mark] = True
    assert len(chosen(lab, ["web-0"])) == 2
    with pytest.raises(UserError) as refused:
        chosen(lab, ["web-*", "web-0/data"])
    assert "so not made anew: disk 'data' of machine 'web-0'; nothing was changed" in refused.value.summary
    assert (refused.value.fix or "").startswith(f"write '{key}: false' for it, run `provision up`")


def test_data_is_lost_where_it_is_allowed_alone() -> None:
    both = chosen(state(LAB), ["web-0", "web-0/data"])
    with pytest.raises(UserError) as refused:
        losing(both, Permission())
    assert refused.value.summary == (
        "this would replace the machine 'web-0', the disk 'data' of machine 'web-0' and destroy their data "
        "(the replacement was asked for); nothing was changed"
    )
    assert "provision up --allow-destroy web-0 --allow-destroy web-0/data" in (refused.value.fix or "")
    with pytest.raises(UserError, match="replace the machine 'web-0' and destroy its data"):
        losing(both, Permission(("web-0/data",)))
    told = losing(both, Permission(("web-0",)))
    assert [(item.severity, item.text, name_of(item.urn)) for item in told] == [
        ("warning", "destroys data: its replacement was asked for", "machines/web-0/root"),
        ("warning", "destroys data: its replacement was asked for", "machines/web-0/disk-data"),
    ]
    assert losing(chosen(state(LAB), ["web-1", "networks/front"]), Permission()) == []


@pytest.mark.parametrize(
    ("name", "kind", "loses"),
    [
        ("machines/db/server", "provision-memory:compute:Server", True),  # a change of its image destroys data
        ("machines/db/disk-data", "provision-memory:compute:Volume", True),
        ("networks/front/network", "provision-memory:network:Network", False),
        ("machines/db/root", "provision-libvirt:storage:Volume", False),  # whose record would say so
        ("machines/db/server", "provision-nobody:compute:Server", False),
    ],
)
def test_types_that_do_not_record_what_loses_data_are_asked(name: str, kind: str, loses: bool) -> None:
    (one,) = chosen(state({name: (kind, {})}), [name])
    assert one.has_data is loses


def test_permission_is_what_is_configured_and_what_one_run_is_given() -> None:
    config = {"provision:allowDestroy": SimpleNamespace(value='["db"]')}
    assert allowed(config, {VARIABLE: "web"}) == Permission(("db",), ("web",))
    assert allowed({}, {}) == Permission()


@pytest.mark.parametrize(("command", "option"), [(up, "--plan"), (preview, "--save-plan")])
def test_a_plan_has_no_replacements_that_were_asked_for(command: Command, option: str, tmp_path: Path) -> None:
    said = CliRunner().invoke(command, ["--replace", "web", option, str(tmp_path / "plan"), str(tmp_path)])
    assert said.exit_code == 2
    assert f"give {option} or --replace" in " ".join(said.output.split())
