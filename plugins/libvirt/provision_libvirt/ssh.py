"""Hypervisors reached by SSH: what libvirt's `qemu+ssh` leaves to chance, and its failures in words.

Libvirt runs the program `ssh`. It hands `keyfile` on but not `known_hosts`, and lets `ssh` ask questions of a terminal
that may not be there. So `ssh` is run by a small program of ours that says all this, and takes no unknown host key.
"""

import hashlib
import os
import shlex
import urllib.parse
from pathlib import Path

from provision.errors import EnvironmentProblem

_TRANSPORT = "ssh"
_CONNECT_SECONDS = 15
_ALIVE_SECONDS = 10
_ALIVE_COUNT = 6
_FAILURES = (
    (
        ("host key verification failed", "no matching host key", "remote host identification has changed"),
        "its SSH host key is not known, or is not the one that is known",
        "check the key's fingerprint with whoever runs the host, then add it to ~/.ssh/known_hosts "
        "(`ssh-keyscan HOST`), or name a file that has it: '&known_hosts=FILE' in the URI",
    ),
    (
        ("permission denied (", "too many authentication failures", "identity file"),
        "its SSH server takes none of the keys that were offered",
        "add the public key to ~/.ssh/authorized_keys of that user on the host, or name the right key: '&keyfile=FILE'",
    ),
    (
        ("could not resolve hostname",),
        "there is no host of that name",
        "check the name in the URI",
    ),
    (
        ("ssh: connect to host", "connection timed out", "no route to host"),
        "its SSH server does not answer",
        "check that the host is up, and its name and port in the URI (qemu+ssh://USER@HOST:PORT/system)",
    ),
    (
        ("nc: not found", "nc: command not found", "virt-ssh-helper: not found"),
        "the host lacks what joins SSH and libvirt there",
        "on the host: apt-get install netcat-openbsd (needed with '&socket='), or libvirt's own virt-ssh-helper",
    ),
    (
        ("ssh: not found", "cannot find 'ssh'", "unable to execute"),
        "this machine has no program ssh",
        "apt-get install openssh-client",
    ),
)


def is_ssh(uri: str) -> bool:
    """Whether libvirt runs `ssh` for a connection URI."""
    return urllib.parse.urlsplit(uri).scheme.partition("+")[2] == _TRANSPORT


def dialled(uri: str, cache: Path | None = None) -> str:
    """The URI by which libvirt is asked to connect: by SSH with a program of ours, unless the URI names one itself.

    Args:
        uri: as configured.
        cache: where the program is kept; by default the user's cache.

    Raises:
        EnvironmentProblem: the program cannot be written.
    """
    parts = urllib.parse.urlsplit(uri)
    given = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
    if not is_ssh(uri) or any(key == "command" for key, _ in given):
        return uri
    values = dict(given)
    left = [(key, value) for key, value in given if key not in ("known_hosts", "no_tty")]
    program = _program(values.get("known_hosts"), unverified=values.get("no_verify", "0") not in ("", "0"))
    query = urllib.parse.urlencode([*left, ("command", str(_kept(program, cache)))], quote_via=urllib.parse.quote)
    return urllib.parse.urlunsplit(parts._replace(query=query))


def _program(known_hosts: str | None, *, unverified: bool) -> str:
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": str(_CONNECT_SECONDS),
        "ServerAliveInterval": str(_ALIVE_SECONDS),
        "ServerAliveCountMax": str(_ALIVE_COUNT),
    }
    if not unverified:
        options["StrictHostKeyChecking"] = "yes"
    if known_hosts:
        options |= {"UserKnownHostsFile": str(Path(known_hosts).expanduser()), "GlobalKnownHostsFile": "/dev/null"}
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return f'#!/bin/sh\nexec ssh {shlex.join(words)} "$@"\n'


def _kept(program: str, cache: Path | None) -> Path:
    folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "provision"
    file = folder / f"ssh-{hashlib.blake2s(program.encode()).hexdigest()[:12]}"
    try:
        if not file.exists() or file.read_text() != program:
            folder.mkdir(parents=True, exist_ok=True)
            scratch = file.with_suffix(f".{os.getpid()}")
            scratch.write_text(program)
            scratch.chmod(0o700)
            os.replace(scratch, file)
    except OSError as error:
        raise EnvironmentProblem(
            f"a program for SSH connections cannot be kept in {folder}: {error.strerror}", "set XDG_CACHE_HOME"
        ) from None
    return file


def unreachable(uri: str, text: str) -> EnvironmentProblem | None:
    """What a failure to connect by SSH means; None when it is not of SSH."""
    lowered = text.lower()
    for words, reason, fix in _FAILURES:
        if any(word in lowered for word in words):
            return EnvironmentProblem(f"the hypervisor at {uri} cannot be reached: {reason} ({text})", fix)
    return None
