"""What stands in front of every API and follows the fault rules; and a small threaded server for one of them."""

import json
import socketserver
import threading
import time
from wsgiref import simple_server

from oslab import faults


class Faulty:
    """An application of which calls go wrong."""

    def __init__(self, application, service):
        self.application = application
        self.service = service

    def __call__(self, environ, start_response):
        path = environ.get("PATH_INFO", "")
        rule = faults.match("http", service=self.service, method=environ["REQUEST_METHOD"], path=path)
        if rule is None:
            return self.application(environ, start_response)
        time.sleep(rule["delay"])
        if not rule["status"]:
            return self.application(environ, start_response)
        if rule["after"]:
            self._do(environ)
        body = json.dumps(
            {"error": {"code": rule["status"], "title": "Injected", "message": "injected fault"}}
        ).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **rule["headers"]}
        start_response(f"{rule['status']} Injected", list(headers.items()))
        return [body]

    def _do(self, environ):
        """Have the work done; nobody sees the answer."""
        answer = self.application(environ, lambda *status, **more: lambda data: None)
        try:
            for _ in answer:
                pass
        finally:
            if hasattr(answer, "close"):
                answer.close()


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(simple_server.WSGIRequestHandler):
    def log_message(self, *values):
        pass

    def address_string(self):
        return self.client_address[0]


def serve(application, port):
    """Serve in a thread of its own."""
    server = simple_server.make_server("127.0.0.1", port, application, server_class=_Server, handler_class=_Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
