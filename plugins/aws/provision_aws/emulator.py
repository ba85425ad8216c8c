"""EC2's wire protocol on this machine: the moto server, with a few things that EC2 does and moto does not.

`python -m provision_aws.emulator PORT` serves on the loopback interface until it is ended. It holds no machines: it
answers as EC2 does. `GET /standing` gives the ids of all that was made, as JSON, in one answer, `GET /calls` what was
asked for how often.
"""

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from provision.errors import EnvironmentProblem
from provision_aws.emulator_amends import GROUPS, amend
from provision_aws.emulator_speed import hasten

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What a client of it needs: any credentials will do."""

REGION = "eu-central-1"
_START_SECONDS = 60
_DRY = (
    b"<Response><Errors><Error><Code>DryRunOperation</Code><Message>Request would have succeeded, but DryRun flag is "
    b"set.</Message></Error></Errors><RequestID>0</RequestID></Response>"
)
"""The answer to whoever only asks what would be (EC2 API Reference, "DryRun")."""

_ROOT_GIB = 8


@contextmanager
def running(directory: Path, delay: float = 0.0) -> Iterator[str]:
    """A server of its own, with nothing on it but what every account has; its URL.

    Args:
        directory: for its log.
        delay: seconds by which it answers later than it could, as EC2 does.

    Raises:
        EnvironmentProblem: it cannot be started.
    """
    port = _free_port()
    log = directory / "emulator.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "provision_aws.emulator", str(port), str(delay)],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(process, url, log)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def standing(url: str) -> list[str]:
    """Ids of everything that was made on a server."""
    with urllib.request.urlopen(f"{url}/standing", timeout=30) as answer:
        found: list[str] = json.load(answer)
    return found


def calls(url: str) -> Counter[str]:
    """How often each action was asked for since the last reset, whoever asked."""
    with urllib.request.urlopen(f"{url}/calls", timeout=30) as answer:
        return Counter(json.load(answer))


def reset(url: str) -> None:
    """Take everything off a server."""
    request = urllib.request.Request(f"{url}/moto-api/reset", method="POST")
    with urllib.request.urlopen(request, timeout=60):
        pass


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            standing(url)
            return
        except OSError:
            time.sleep(0.1)
    tail = log.read_text(errors="replace")[-2000:]
    raise EnvironmentProblem(f"the emulated EC2 did not start: {tail}", "pip install 'moto[ec2,server]'")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


# --- in the server's process


def serve(port: int, delay: float = 0.0) -> None:
    """Serve until the process is ended, or whoever started it: then its standard input closes."""
    import logging

    from moto.ec2.models import ec2_backends
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    amend()
    hasten()
    application = DomainDispatcherApplication(create_backend_app)
    calls: Counter[str] = Counter()
    tells: dict[str, Callable[[], Any]] = {"/standing": lambda: _standing(ec2_backends), "/calls": lambda: dict(calls)}
    one_by_one = threading.Lock()  # moto breaks now and then when it works on two calls at once

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        if told := tells.get(str(environ.get("PATH_INFO"))):
            body = json.dumps(told()).encode()
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        time.sleep(delay)
        with one_by_one:
            if environ.get("PATH_INFO") == "/moto-api/reset":
                calls.clear()
                return application(environ, start_response)
            asked, dry = _action(environ)
            if asked:
                calls[asked] += 1
            if dry:  # moto does many things all the same
                headers = [("Content-Type", "text/xml"), ("Content-Length", str(len(_DRY)))]
                start_response("412 Precondition Failed", headers)
                return [_DRY]
            return application(environ, start_response)

    def end_with_owner() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=end_with_owner, daemon=True).start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    run_simple("127.0.0.1", port, answer, threaded=True)


def _action(environ: dict[str, Any]) -> tuple[str, bool]:
    """What is asked for, and whether it is not to be done; the body can still be read afterwards."""
    if target := environ.get("HTTP_X_AMZ_TARGET", ""):
        return str(target).rpartition(".")[2], False
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    asked = urllib.parse.parse_qs(body.decode(errors="replace"))
    return asked.get("Action", [""])[0], asked.get("DryRun") == ["true"]


def _standing(backends: Any) -> list[str]:
    found: list[str] = [f"placement group {name}" for name in GROUPS]
    for account in list(backends.values()):
        for backend in list(account.values()):
            found += _of_region(backend)
    return sorted(found)


def _of_region(backend: Any) -> Iterator[str]:
    for name in ("vpcs", "internet_gateways", "egress_only_internet_gateways", "nat_gateways", "route_tables",
                 "enis", "managed_prefix_lists", "vpc_end_points", "volumes", "hosts", "keypairs"):  # fmt: skip
        for identity, item in list(getattr(backend, name, {}).items()):
            if getattr(item, "state", "") not in ("deleted", "delete-complete", "released"):
                yield f"{name} {identity}"
    for table in list(backend.route_tables.values()):
        yield from (f"route {table.id} {key}" for key in list(table.routes))
        yield from (f"association {table.id} {key}" for key in list(table.associations))
    yield from (f"subnet {identity}" for zone in list(backend.subnets.values()) for identity in list(zone))
    for groups in list(backend.groups.values()):
        for group in list(groups.values()):
            yield f"security group {group.id}"
            yield from (f"rule {rule.id}" for rule in (*group.ingress_rules, *group.egress_rules))
    for address in list(backend.addresses):
        yield f"address {address.allocation_id} {address.association_id}"
    for volume in list(backend.volumes.values()):
        if volume.attachment:
            yield f"attachment {volume.id}"
    for reservation in list(backend.reservations.values()):
        yield from (f"machine {one.id}" for one in reservation.instances if one.state != "terminated")


if __name__ == "__main__":
    serve(int(sys.argv[1]), *map(float, sys.argv[2:]))
