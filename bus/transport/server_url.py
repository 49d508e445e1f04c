"""NATS URLs: split into servers and login, so that no name or password reaches a log or an error text. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

_SCHEMES = ("nats", "tls", "ws", "wss")
_NOT_A_URL = (
    "a NATS URL must look like nats://host:port, with commas between several and one login for all;"
    " percent-encode the password (/ is %2F, ? is %3F, # is %23, a comma is %2C)"
)


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
    """Read `nats://user:password@host:port`, or several separated by commas; the login of the first is used for all.

    The others may repeat it. ValueError for anything else; its text does not show the URL.
    """
    try:
        parts = [urlsplit(part if "//" in part else f"nats://{part}") for part in map(str.strip, url.split(","))]
        well_formed = all(map(_is_server, parts)) and _share_a_login(parts)
    except ValueError:  # urllib's own text shows what it cannot read
        well_formed = False
    if not well_formed:
        raise ValueError(_NOT_A_URL)
    servers = tuple(f"{part.scheme}://{part.netloc.rpartition('@')[2]}" for part in parts)
    login = parts[0]
    if not login.username:
        return ServerUrl(servers)
    return ServerUrl(servers, unquote(login.username), unquote(login.password or ""))


def _is_server(part: SplitResult) -> bool:
    """ValueError if the port is no port. A rest after it is the tail of a password with `/`, `?` or `#` in it."""
    rest = part.path.removeprefix("/") + part.query + part.fragment
    return part.scheme in _SCHEMES and bool(part.hostname) and not rest and part.port != 0


def _share_a_login(parts: Sequence[SplitResult]) -> bool:
    """False for what a password with a comma in it leaves: a server without a login, and one with another."""
    first, *others = (part.netloc.rpartition("@")[0] for part in parts)
    return all(login in ("", first) for login in others)
