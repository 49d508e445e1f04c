"""NATS URLs: split into servers and login, so that no name or password reaches a log or an error text. Pure."""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_SCHEMES = ("nats", "tls", "ws", "wss")


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """One or several servers of one cluster and how to log in."""

    servers: tuple[str, ...]
    """Each as `scheme://host:port`, safe to show."""
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return ", ".join(self.servers)


def parse_server_url(url: str) -> ServerUrl:
    """Read `nats://user:password@host:port`, or several separated by commas; the first login is used for all.

    ValueError for anything else; its text does not show the URL.
    """
    parts = [urlsplit(part if "//" in part else f"nats://{part}") for part in url.replace(" ", "").split(",")]
    for part in parts:
        if part.scheme not in _SCHEMES or not part.hostname:
            raise ValueError("a NATS URL must look like nats://host:port")
    servers = tuple(f"{part.scheme}://{part.netloc.rpartition('@')[2]}" for part in parts)
    login = next((part for part in parts if part.username), None)
    if login is None:
        return ServerUrl(servers)
    return ServerUrl(servers, unquote(login.username or ""), unquote(login.password or ""))
