"""Hypervisors reached by SSH: how `ssh` is called, and what its failures mean. The lab shows the real thing."""

import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import libvirt
import pytest
from provision_libvirt import ssh
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.place import is_own_host, lab_directory
from provision_libvirt.session import Session

from provision.errors import EnvironmentProblem

URI = "qemu+ssh://root@host:2222/system?socket=/run/x&keyfile=/k%20ey&known_hosts=/a%20b"


def program(uri, cache):
    query = parse_qs(urlsplit(ssh.dialled(uri, cache)).query)
    return query, query["command"][0]


def test_ssh_asks_nothing_and_takes_no_key_but_those_that_are_known(tmp_path, monkeypatch):
    query, command = program(URI, tmp_path / "cache")
    assert (query["socket"], query["keyfile"]) == (["/run/x"], ["/k ey"])
    assert "known_hosts" not in query
    (tmp_path / "ssh").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    said = subprocess.run([command, "-p", "2222", "host"], capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    assert "UserKnownHostsFile=/a b" in said
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null"} <= set(said)
    assert said[-4:-1] == ["-p", "2222", "host"]
    assert program(URI, tmp_path / "cache")[1] == command


def test_keys_are_left_unchecked_only_where_the_uri_says_so(tmp_path):
    _, command = program("qemu+ssh://host/system?no_verify=1", tmp_path)
    assert "StrictHostKeyChecking" not in Path(command).read_text()
    _, command = program("qemu+ssh://host/system", tmp_path)
    assert "StrictHostKeyChecking=yes" in Path(command).read_text()


@pytest.mark.parametrize("uri", ["qemu:///system", "qemu+unix:///system?socket=/x", "qemu+ssh://h/system?command=/my"])
def test_other_uris_stay_as_they_are(uri, tmp_path):
    assert ssh.dialled(uri, tmp_path) == uri
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot be kept"):
        ssh.dialled(URI, tmp_path / "file")


@pytest.mark.parametrize(
    ("said", "reason", "fix"),
    [
        (
            "Host key verification failed.: Connection reset by peer",
            "its SSH host key is not known",
            "known_hosts=FILE",
        ),
        ("root@h: Permission denied (publickey).", "takes none of the keys", "keyfile=FILE"),
        ("ssh: connect to host h port 22: Connection refused", "does not answer", "the host is up"),
        ("ssh: Could not resolve hostname h", "no host of that name", "the name"),
        ("End of file while reading data: sh: 1: nc: not found", "the host lacks", "netcat-openbsd"),
    ],
)
def test_what_ssh_says_becomes_what_to_do(said, reason, fix, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(EnvironmentProblem) as caught:
        Session(LibvirtConfig(uri=URI), connect=lambda uri: _fail(f"Cannot recv data: {said}"))
    assert reason in caught.value.summary
    assert said in caught.value.summary
    assert fix in caught.value.fix


def _fail(text):
    error = libvirt.libvirtError(text)
    error.err = (38, 7, text, 2, "", None, None, 0, 0)
    raise error


def test_the_socket_of_another_host_is_no_private_hypervisor_of_this_one(tmp_path):
    (tmp_path / ".provision-lab").write_text("")
    socket = tmp_path / "run/sock"
    assert lab_directory(f"qemu+unix:///system?socket={socket}") == tmp_path
    assert lab_directory(f"qemu+ssh://other/system?socket={socket}") is None
    assert not is_own_host("qemu+ssh://other/system")
