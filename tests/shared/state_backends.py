"""Places where teams keep the state of their stacks, each of its own: a folder, S3 by its protocol, Postgres."""

import base64
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from provision_aws import emulator

REGION = "eu-central-1"
PASSWORD = "pg-pass-0815"
_SECONDS = 60
_PREFIX = "provision-postgres-"
_WITH_US = ("setpriv", "--pdeathsig", "QUIT")  # tests that are killed leave no server behind


@dataclass(frozen=True)
class Backend:
    """One backend.

    Attributes:
        url: as in PULUMI_BACKEND_URL.
        env: what its clients need besides.
        raw: everything that it holds.
        secrets_provider: what is to keep the secrets of stacks there; empty for a passphrase.
    """

    url: str
    raw: Callable[[], bytes]
    env: Mapping[str, str] = field(default_factory=dict)
    secrets_provider: str = ""


@contextmanager
def folder(place: Path) -> Iterator[Backend]:
    state = place / "state"
    state.mkdir()
    yield Backend(f"file://{state}", lambda: b"".join(f.read_bytes() for f in sorted(state.rglob("*")) if f.is_file()))


@contextmanager
def bucket(place: Path) -> Iterator[Backend]:
    """S3, with the secrets of its stacks kept by KMS."""
    with emulator.running(place) as url:
        account = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": REGION}
        s3 = boto3.client("s3", endpoint_url=url, **account)
        s3.create_bucket(Bucket="state", CreateBucketConfiguration={"LocationConstraint": REGION})
        key = boto3.client("kms", endpoint_url=url, **account).create_key()["KeyMetadata"]["KeyId"]

        def raw() -> bytes:
            names = [item["Key"] for item in s3.list_objects_v2(Bucket="state").get("Contents", ())]
            return b"".join(s3.get_object(Bucket="state", Key=name)["Body"].read() for name in names)

        yield Backend(
            f"s3://state?endpoint={url}&s3ForcePathStyle=true&region={REGION}",
            raw,
            {**emulator.ENVIRONMENT, "AWS_REGION": REGION},
            f"awskms:///{key}?region={REGION}&awssdk=v2&endpoint={url}",
        )


@contextmanager
def database(place: Path) -> Iterator[Backend]:
    """A Postgres server of its own, as a user without rights."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    assert programs, "no Postgres on this machine: run scripts/test, or `apt-get install postgresql`"
    bin_folder = programs[-1].parent
    who = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    _remove_what_killed_tests_left()
    home = Path(tempfile.mkdtemp(prefix=_PREFIX))  # not in `place`, which only its owner may enter
    (home / "made-by").write_text(str(os.getpid()))
    secret = home / "password"
    secret.write_text(PASSWORD)
    if who:
        for path in (home, secret):
            shutil.chown(path, "postgres", "postgres")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    environment = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    reach = {**environment, "PGPASSWORD": PASSWORD}
    ask = ["psql", "-h", "127.0.0.1", "-p", str(port), "-U", "provision", "-d", "postgres", "-XAtc"]
    try:
        subprocess.run(
            ["initdb", "-D", home / "data", "-U", "provision", "-A", "scram-sha-256", "--pwfile", secret, "-N"],
            check=True, cwd="/", env=environment, capture_output=True, **who,
        )  # fmt: skip
        log = (place / "postgres.log").open("wb")
        few = ["-c", "huge_pages=off"]  # other tests' guests want them
        server = subprocess.Popen(
            [*_WITH_US, "postgres", "-D", home / "data", "-p", str(port), "-h", "127.0.0.1", "-k", "", "-F", *few],
            cwd="/", env=environment, stdout=log, stderr=log, **who,
        )  # fmt: skip
        try:
            end = time.monotonic() + _SECONDS
            while subprocess.run([*ask, "select 1"], env=reach, capture_output=True).returncode:
                assert server.poll() is None, (place / "postgres.log").read_text()
                assert time.monotonic() < end, (place / "postgres.log").read_text()
                time.sleep(0.1)

            def raw() -> bytes:
                rows = subprocess.run(
                    [*ask, "select data->>'data' from pulumi_state"], env=reach, check=True, capture_output=True
                )
                return b"".join(base64.b64decode(re.sub(rb"\s", b"", row)) for row in rows.stdout.splitlines())

            yield Backend(f"postgres://provision:{PASSWORD}@127.0.0.1:{port}/postgres?sslmode=disable", raw)
        finally:
            server.terminate()
            server.wait(_SECONDS)
            log.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _remove_what_killed_tests_left() -> None:
    for home in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, ValueError):
            if not Path("/proc", str(int((home / "made-by").read_text()))).exists():
                shutil.rmtree(home)


BACKENDS = {"bucket": bucket, "database": database, "folder": folder}
