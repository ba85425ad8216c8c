"""A second region of a lab: the catalogue has endpoints of its own there, and what is asked of them is written down.

The services behind them are the first region's. Services name themselves in their answers as they were called, so
whoever begins in the region stays in it.
"""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openstack_lab.layout import API_PATHS, HOST, SERVICE_TYPES

NAME = "RegionTwo"
_OF_ONE_HOP = ("connection", "transfer-encoding", "content-length")


class SecondRegion:
    """The region.

    Attributes:
        asked: what was asked of it, as `nova POST /v2.1/servers`, and what was sent with that.
    """

    def __init__(self, cloud):
        """Of a lab that runs; it is in no catalogue before it is entered."""
        self.asked = []
        self._cloud = cloud
        self._servers = {}
        self._identity = None
        self._made = []

    def __enter__(self):
        self._identity = self._cloud.admin().identity
        self._identity.create_region(id=NAME)
        for name, kind in SERVICE_TYPES.items():
            server = ThreadingHTTPServer((HOST, 0), _passing(self.asked, name, self._cloud.layout.ports[name]))
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            self._servers[name] = server
            service = next(one for one in self._identity.services(type=kind))
            url = f"http://{HOST}:{server.server_port}{API_PATHS[name]}"
            where = {"service_id": service.id, "region_id": NAME, "url": url}
            self._made += [self._identity.create_endpoint(interface=one, **where) for one in ("public", "internal")]
        return self

    def __exit__(self, *error):
        for endpoint in self._made:
            self._identity.delete_endpoint(endpoint)
        self._identity.delete_region(NAME)
        for server in self._servers.values():
            server.shutdown()
            server.server_close()


def _passing(asked, service, port):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self):
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if len(body) < length:  # whoever asked was killed
                self.close_connection = True
                return
            asked.append((f"{service} {self.command} {self.path.partition('?')[0]}", body))
            behind = http.client.HTTPConnection(HOST, port, timeout=300)
            try:
                behind.request(self.command, self.path, body or None, dict(self.headers))
                answer = behind.getresponse()
                content = answer.read()
            finally:
                behind.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _OF_ONE_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass

        def log_message(self, *values):
            pass

    return Handler
