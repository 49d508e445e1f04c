"""Prometheus metrics of a process that has no HTTP port, on a port just for them."""

from socketserver import ThreadingMixIn
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import prometheus_client


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass  # a line for every scrape says nothing


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _SharingServer(_Server):
    allow_reuse_port = True


class MetricsServer:
    """`/metrics` on a port of its own, answered by a thread."""

    def __init__(self, server: WSGIServer) -> None:
        self._server = server
        self._thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    def close(self) -> None:
        """Stop listening; blocks until the thread has ended, at most about half a second."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve_metrics(port: int, *, host: str = "127.0.0.1", reuse_port: bool = False) -> MetricsServer:
    """Serve this process's metrics; port 0 takes a free one. Raises OSError if the port is taken.

    With `reuse_port` another process that says so too may have it already: the one that this one is to replace.
    """
    kind = _SharingServer if reuse_port else _Server
    return MetricsServer(make_server(host, port, prometheus_client.make_wsgi_app(), kind, _Quiet))
