"""Prometheus metrics of a process that has no HTTP port, on a port just for them."""

from threading import Thread
from wsgiref.simple_server import WSGIServer

import prometheus_client


class MetricsServer:
    """`/metrics` on a port of its own, answered by a thread."""

    def __init__(self, server: WSGIServer, thread: Thread) -> None:
        self._server = server
        self._thread = thread

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    def close(self) -> None:
        """Stop listening; blocks until the thread has ended, at most about half a second."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve_metrics(port: int, *, host: str = "127.0.0.1") -> MetricsServer:
    """Serve this process's metrics; port 0 takes a free one. Raises OSError if the port is taken."""
    server, thread = prometheus_client.start_http_server(port, addr=host)
    return MetricsServer(server, thread)
