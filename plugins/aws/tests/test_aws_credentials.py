"""Credentials, region and endpoint are found as every tool of AWS finds them; the key that signs a call shows which."""

import hashlib
import json
import os
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.credentials import SSOProvider
from botocore.tokens import SSOTokenProvider
from provision_aws.config import AwsConfig
from provision_aws.session import Session

from provision.errors import EnvironmentProblem

LATER = "2099-01-01T00:00:00Z"
ROLE = "arn:aws:iam::123456789012:role/deploy"
SIGNED = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/")
START = "https://example.awsapps.com/start"


def _keys(name):
    return {"AccessKeyId": name, "SecretAccessKey": f"secret-of-{name}"}


def _assumed(action, name):
    fields = {**_keys(name), "SessionToken": "token", "Expiration": LATER}
    inside = "".join(f"<{key}>{value}</{key}>" for key, value in fields.items())
    user = f"<AssumedRoleUser><AssumedRoleId>A:b</AssumedRoleId><Arn>{ROLE}</Arn></AssumedRoleUser>"
    wrapped = f"<{action}Result><Credentials>{inside}</Credentials>{user}</{action}Result>"
    return f"<{action}Response>{wrapped}</{action}Response>"


class Aws:
    """What hands out credentials, and tells whose they are: each way its own.

    Attributes:
        url: where it answers.
        asked: per call of STS, its parameters, and the key and region that it was signed with.
    """

    def __init__(self, server):
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.asked = []

    def answer(self, method, path, body, headers):
        if path.startswith("/latest/"):
            return self._instance(method, path)
        if path.startswith("/federation/credentials"):
            assert headers["x-amz-sso_bearer_token"] == "logged-in"
            keys = {"accessKeyId": "SSO", "secretAccessKey": "secret-of-SSO", "sessionToken": "token"}
            return json.dumps({"roleCredentials": {**keys, "expiration": 4_000_000_000_000}})
        given = {name: values[0] for name, values in urllib.parse.parse_qs(body).items()}
        signed = SIGNED.search(headers.get("Authorization") or "")
        self.asked.append(given | (signed.groupdict() if signed else {"key": ""}))
        match given["Action"]:
            case "GetCallerIdentity":
                inside = f"<Account>123456789012</Account><Arn>{ROLE}</Arn><UserId>A</UserId>"
                wrapped = f"<GetCallerIdentityResult>{inside}</GetCallerIdentityResult>"
                return f"<GetCallerIdentityResponse>{wrapped}</GetCallerIdentityResponse>"
            case "AssumeRole":
                return _assumed("AssumeRole", "ASSUMED")
            case "AssumeRoleWithWebIdentity":
                assert given["WebIdentityToken"] == "from-the-pipeline"
                return _assumed("AssumeRoleWithWebIdentity", "WEB")
        raise AssertionError(given)

    def _instance(self, method, path):
        if method == "PUT":
            return "session-token"
        if path.endswith("/security-credentials/"):
            return "machine"
        rest = {"Code": "Success", "Type": "AWS-HMAC", "Token": "token", "LastUpdated": "2026-01-01T00:00:00Z"}
        return json.dumps({**_keys("INSTANCE"), **rest, "Expiration": LATER})


@pytest.fixture
def aws():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            answer = made.answer(self.command, self.path, body, self.headers).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_PUT = do_POST

        def log_message(self, *values):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Aws(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield made
        server.shutdown()


@pytest.fixture
def home(monkeypatch, tmp_path, aws):
    """A home folder with nothing but what a test puts there, and no variables of AWS but where it answers."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ENDPOINT_URL", "AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        monkeypatch.setenv(name, aws.url)
    for kind in (SSOProvider, SSOTokenProvider):  # they look for the home folder when they are imported
        monkeypatch.setattr(kind, "_SSO_TOKEN_CACHE_DIR", str(tmp_path / ".aws" / "sso" / "cache"))
    (tmp_path / ".aws").mkdir()
    return tmp_path


CONFIG = f"""
[default]
region = eu-west-1
[profile work]
region = eu-north-1
[profile role]
role_arn = {ROLE}
source_profile = work
[profile sso]
sso_start_url = {START}
sso_region = eu-west-1
sso_account_id = 123456789012
sso_role_name = deploy
[sso-session corp]
sso_start_url = {START}
sso_region = eu-west-1
[profile session]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = deploy
[profile tool]
credential_process = printf '%s' '{json.dumps({"Version": 1, **_keys("TOOL")})}'
"""
CREDENTIALS = """
[default]
aws_access_key_id = DEFAULT
aws_secret_access_key = secret-of-DEFAULT
[work]
aws_access_key_id = WORK
aws_secret_access_key = secret-of-WORK
"""


def _files(home):
    (home / ".aws" / "config").write_text(CONFIG)
    (home / ".aws" / "credentials").write_text(CREDENTIALS)
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    login = {"startUrl": START, "region": "eu-west-1", "accessToken": "logged-in", "expiresAt": LATER}
    for name in (START, "corp"):
        (cache / f"{hashlib.sha1(name.encode()).hexdigest()}.json").write_text(json.dumps(login))


def _who(aws, **config):
    """The key that a session's first call is signed with, and the region that it is for."""
    session = Session(AwsConfig(**config))
    session.close()
    last = aws.asked[-1]
    assert last["Action"] == "GetCallerIdentity"
    assert last["service"] == "sts"
    assert last["region"] == session.region
    return last["key"], session.region


KEYS = {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "secret-of-ENV"}


@pytest.mark.parametrize(
    ("variables", "config", "expected"),
    [
        ({}, {}, ("DEFAULT", "eu-west-1")),
        (KEYS, {}, ("ENV", "eu-west-1")),
        ({"AWS_PROFILE": "work"}, {}, ("WORK", "eu-north-1")),
        ({"AWS_DEFAULT_PROFILE": "work"}, {}, ("WORK", "eu-north-1")),
        (KEYS | {"AWS_PROFILE": "sso"}, {"profile": "work"}, ("WORK", "eu-north-1")),
        ({"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-west-2"}, {}, ("DEFAULT", "us-east-1")),
        ({"AWS_DEFAULT_REGION": "us-west-2"}, {}, ("DEFAULT", "us-west-2")),
        ({"AWS_REGION": "us-east-1"}, {"region": "eu-central-1"}, ("DEFAULT", "eu-central-1")),
        ({"AWS_PROFILE": "role", "AWS_REGION": "us-east-1"}, {}, ("ASSUMED", "us-east-1")),
        ({}, {"profile": "work", "assume_role_arn": ROLE}, ("ASSUMED", "eu-north-1")),
        ({"AWS_PROFILE": "sso", "AWS_REGION": "us-east-1"}, {}, ("SSO", "us-east-1")),
        ({"AWS_PROFILE": "session", "AWS_REGION": "us-east-1"}, {}, ("SSO", "us-east-1")),
        ({"AWS_PROFILE": "tool", "AWS_REGION": "us-east-1"}, {}, ("TOOL", "us-east-1")),
    ],
)
def test_profiles_and_variables_are_heeded_as_by_other_tools(aws, home, monkeypatch, variables, config, expected):
    _files(home)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert _who(aws, **config) == expected


def test_a_role_is_taken_on_with_what_was_found_and_its_external_id(aws, home):
    _files(home)

    _who(aws, profile="work", assume_role_arn=ROLE, assume_role_external_id="agreed")

    taken = next(one for one in aws.asked if one["Action"] == "AssumeRole")
    assert (taken["key"], taken["RoleArn"], taken["ExternalId"]) == ("WORK", ROLE, "agreed")


def test_a_pipeline_shows_its_token(aws, home, monkeypatch):
    (home / "token").write_text("from-the-pipeline")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(home / "token"))
    monkeypatch.setenv("AWS_REGION", "eu-central-1")

    assert _who(aws) == ("WEB", "eu-central-1")


def test_a_machine_of_ec2_has_its_role(aws, home):
    assert _who(aws, region="eu-central-1") == ("INSTANCE", "eu-central-1")


def test_the_configuration_says_where_aws_answers(aws, home, monkeypatch):
    _files(home)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    assert _who(aws, endpoint_url=aws.url) == ("DEFAULT", "eu-west-1")


@pytest.mark.parametrize("profile", ["session", "sso"])
def test_a_login_that_ended_is_told_with_how_to_renew_it(aws, home, monkeypatch, profile):
    _files(home)
    for login in (home / ".aws" / "sso" / "cache").iterdir():
        login.write_text(login.read_text().replace(LATER, "2020-01-01T00:00:00Z"))
    monkeypatch.setenv("AWS_PROFILE", profile)

    with pytest.raises(EnvironmentProblem, match="expired") as caught:
        Session(AwsConfig(region="eu-central-1"))
    assert "aws sso login" in caught.value.fix


def test_where_there_are_no_credentials_that_is_told(home, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with pytest.raises(EnvironmentProblem, match="there are no credentials for AWS") as caught:
        Session(AwsConfig(region="eu-central-1"))
    assert "aws sso login" in caught.value.fix


def test_no_setting_holds_a_credential():
    held = [name for name in AwsConfig.model_fields if re.search(r"key|secret|token|password", name)]

    assert held == []
