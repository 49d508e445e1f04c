"""Is it there yet, and is this port free: small questions to the local machine, each with a bound."""

import asyncio
import contextlib
import json
import random
import socket
import ssl
from dataclasses import dataclass

_ANSWER_TIMEOUT_S = 2.0
_MAX_ANSWER_BYTES = 64 * 1024
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
_NEVER_EPHEMERAL = range(10_000, 32_768)
"""Below what Linux (32768) and IANA (49152) hand to outgoing connections by default."""
_PORTS_TRIED = 32


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """`status` 0 means that nobody answered; then `body` says why."""

    status: int
    body: str


def reachable_host(host: str) -> str:
    """The address under which this machine reaches a server that is bound to `host`."""
    return _ANY_ADDRESS.get(host, host)


def url_host(host: str) -> str:
    """`host` as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def why_not_free(host: str, port: int) -> str | None:
    """None if a server can listen there, else the system's reason.

    Binds without SO_REUSEPORT on purpose: with it, a second stack would share the port of the first unnoticed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def free_port(host: str) -> int:
    """A TCP port of `host` that nobody uses now, and that the system gives to no outgoing connection meanwhile.

    Chosen at random, so that two who ask at the same time hardly get the same. OSError if `host` is not ours.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    for port in random.sample(_NEVER_EPHEMERAL, _PORTS_TRIED):
        if why_not_free(host, port) is None:
            return port
    with socket.socket(family, kind, protocol) as probe:
        probe.bind(address)
        chosen: int = probe.getsockname()[1]
        return chosen


async def nats_is_serving(host: str, port: int) -> bool:
    """Whether a NATS server with JetStream greets there. Never raises for network reasons."""
    with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                verb, _, info = (await reader.readline()).partition(b" ")
                return verb == b"INFO" and bool(json.loads(info).get("jetstream"))
            finally:
                writer.close()
    return False


async def http_get(host: str, port: int, path: str, *, tls: bool = False) -> HttpAnswer:
    """One plain GET, or one over TLS that believes any certificate. Never raises for network reasons."""
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port, ssl=_believing() if tls else None)
            try:
                request = f"GET {path} HTTP/1.1\r\nHost: {url_host(host)}:{port}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode())
                answer = await reader.read(_MAX_ANSWER_BYTES)
                while (more := await reader.read(_MAX_ANSWER_BYTES)) and len(answer) < _MAX_ANSWER_BYTES:
                    answer += more
            finally:
                writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return HttpAnswer(int(head.split(maxsplit=2)[1]), body.decode(errors="replace").strip())
    except (OSError, TimeoutError) as error:
        return HttpAnswer(0, str(error) or "no answer in time")
    except (ValueError, IndexError):
        return HttpAnswer(0, "what answers is not an HTTP server")


def _believing() -> ssl.SSLContext:
    # Nothing secret is asked or told, and few certificates name the address under which a machine reaches itself.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
