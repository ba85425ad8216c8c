"""An HTTP proxy in front of EC2 that counts its calls and lets some of them go wrong, each as AWS lets it go wrong."""

import contextlib
import enum
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from provision_aws import emulator

_LEAVING_SECONDS = 120


class Fault(enum.Enum):
    """What happens to a call: an HTTP status, EC2's code and further headers, or what becomes of the connection."""

    THROTTLED = (503, "RequestLimitExceeded", "Retry-After: 0.2")
    SERVER_ERROR = (500, "InternalError", "")
    EXPIRED = (400, "RequestExpired", "")
    DENIED = (403, "UnauthorizedOperation", "")
    NO_CAPACITY = (500, "InsufficientInstanceCapacity", "")
    LIMIT = (400, "InstanceLimitExceeded", "")
    NOT_YET = (400, "InvalidVpcID.NotFound", "")
    CUT_BEFORE = (0, "the connection is cut before the effect", "")
    CUT_AFTER = (0, "the connection is cut after the effect", "")
    SILENT_BEFORE = (0, "no answer comes, and there is no effect", "")
    SILENT_AFTER = (0, "no answer comes, though there is the effect", "")


@dataclass
class _Armed:
    action: str
    fault: Fault
    times: int


class Between:
    """The proxy.

    Attributes:
        calls: how often each action was asked for.
        knows_dry_runs: whether what is behind it is told that something is not to be done.
    """

    def __init__(self, target):
        self.target = target
        self.calls = Counter()
        self.knows_dry_runs = True
        self._armed = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()

    @property
    def config(self):
        return {"region": emulator.REGION, "endpointUrl": self.url}

    def arm(self, action, fault, times=1):
        """Let the next calls of `action` go wrong."""
        with self._lock:
            self._armed.append(_Armed(action, fault, times))

    def fault_of(self, action):
        with self._lock:
            self.calls[action] += 1
            for armed in self._armed:
                if armed.action == action and armed.times:
                    armed.times -= 1
                    return armed.fault
        return None


class _Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


def _handler(between):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            action = urllib.parse.parse_qs(body.decode()).get("Action", [""])[0]
            fault = between.fault_of(action)
            if fault is Fault.CUT_BEFORE:
                self._cut()
                return
            if fault is Fault.SILENT_BEFORE:
                self._wait_for_the_caller_to_leave()
                return
            if fault is not None and fault.value[0]:
                self._refuse(fault)
                return
            status, headers, answer = self._passed_on(body)
            if fault is Fault.CUT_AFTER:
                self._cut()
                return
            if fault is Fault.SILENT_AFTER:
                self._wait_for_the_caller_to_leave()
                return
            self._answer(status, headers, answer)

        def _wait_for_the_caller_to_leave(self):
            self.connection.settimeout(_LEAVING_SECONDS)
            with contextlib.suppress(OSError):
                self.connection.recv(1)
            self._cut()

        def _cut(self):
            self.close_connection = True
            self.connection.close()

        def _refuse(self, fault):
            status, code, more = fault.value
            message = "The vpc ID does not exist" if fault is Fault.NOT_YET else "injected"
            body = (
                f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
                "<RequestID>0</RequestID></Response>"
            )
            name, _, value = more.partition(": ")
            self._answer(status, {name: value} if name else {}, body.encode())

        def _passed_on(self, body):
            headers = {key: value for key, value in self.headers.items() if key.lower() not in ("content-length",)}
            if not between.knows_dry_runs:
                body = body.replace(b"&DryRun=true", b"")
            request = urllib.request.Request(between.target + self.path, data=body, headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return answer.status, {"Content-Type": answer.headers["Content-Type"]}, answer.read()
            except urllib.error.HTTPError as error:
                return error.code, {"Content-Type": error.headers["Content-Type"]}, error.read()

        def _answer(self, status, headers, body):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *values):
            pass

    return Handler
