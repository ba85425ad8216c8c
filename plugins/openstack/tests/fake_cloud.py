"""The smallest cloud that openstacksdk logs in to: a token, a catalogue, and answers that a test lays in it."""

import json
import ssl
import threading
from collections import Counter, deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from provision_openstack.config import OpenStackConfig
from provision_openstack.session import Session

TYPES = ("compute", "network", "image", "block-storage")


class FakeCloud:
    """A cloud that answers as it is told.

    Attributes:
        asked: how often each call was made, by method and path.
        queries: of the calls, in order.
    """

    def __init__(self, certificate=None):
        """With the path of a certificate, and its key, over TLS."""
        self.asked = Counter()
        self.queries = []
        self.tokens = 0
        self._answers = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()

    def lay(self, method, path, *answers):
        """What a call answers: (status, body[, headers]) each time, the last for ever; `None` cuts the connection."""
        self._answers[method, path] = deque(answers)

    def discoverable(self, kind, version):
        """Have a service tell its versions, as services do."""
        link = {"rel": "self", "href": f"{self.url}/{kind}/v{version}"}
        told = {"id": f"v{version}", "status": "CURRENT", "version": "2.100", "min_version": "2.1", "links": [link]}
        self.lay("GET", f"/{kind}/v{version}", (200, {"version": told}))

    def clouds(self, directory):
        """A clouds.yaml of it."""
        path = directory / "clouds.yaml"
        auth = {"auth_url": f"{self.url}/v3", "username": "u", "password": "hush-hush", "project_name": "p",
                "user_domain_name": "Default", "project_domain_name": "Default"}  # fmt: skip
        path.write_text(json.dumps({"clouds": {"fake": {"auth": auth, "region_name": "here"}}}))
        return path

    def answer(self, method, path):
        self.asked[f"{method} {path}"] += 1
        if path == "/v3/auth/tokens":
            self.tokens += 1
            return 201, self._token(), {"X-Subject-Token": f"token-{self.tokens}"}
        laid = self._answers.get((method, path))
        if laid is None:
            return 404, {"itemNotFound": {"code": 404, "message": "nothing laid"}}
        return laid.popleft() if len(laid) > 1 else laid[0]

    def _token(self):
        endpoint = {"interface": "public", "region": "here", "region_id": "here", "id": "e"}
        catalog = [
            {"type": kind, "name": kind, "id": kind, "endpoints": [{**endpoint, "url": f"{self.url}/{kind}{suffix}"}]}
            for kind, suffix in zip(TYPES, ("/v2.1", "", "/v2", "/v3"), strict=True)
        ]
        return {
            "token": {
                "project": {"id": "f" * 32, "name": "p", "domain": {"id": "default", "name": "Default"}},
                "user": {"id": "e" * 32, "name": "u", "domain": {"id": "default", "name": "Default"}},
                "roles": [{"id": "r", "name": "member"}],
                "catalog": catalog,
                "expires_at": "2100-01-01T00:00:00.000000Z",
                "issued_at": "2020-01-01T00:00:00.000000Z",
                "methods": ["password"],
            }
        }


@contextmanager
def logged_in(cloud, directory, monkeypatch):
    """A session in its project."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds(directory)))
    monkeypatch.delenv("OS_CLOUD", raising=False)
    made = Session(OpenStackConfig(cloud="fake"))
    try:
        yield made
    finally:
        made.close()


def _handler(cloud):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and body are two packets, and the second would wait for 40 ms

        def _do(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            split = urlsplit(self.path)
            cloud.queries.append(split.query)
            answer = cloud.answer(self.command, split.path)
            if answer is None:
                self.close_connection = True
                self.connection.close()
                return
            status, body, *more = answer
            text = json.dumps(body).encode() if body is not None else b""
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(more[0] if more else {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _do

        def log_message(self, *values):
            pass

    return Handler
