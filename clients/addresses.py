"""Addresses of a service: what is one, and how it is shown. Pure."""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from bus.contract.client_protocol import PATH
from clients.failures import CannotConnect

_SCHEMES: Final = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_RESUMES: Final = "resume=1"
_BETWEEN_ADDRESSES: Final = re.compile(r"\s*,\s*(?=\w+://|$)")


def split_addresses(urls: str | Sequence[str]) -> tuple[str, ...]:
    """Give the addresses in a text that names several with commas between, or in several texts; at least one."""
    texts = (urls,) if isinstance(urls, str) else tuple(urls)
    # A comma alone may belong to a query.
    addresses = tuple(part for text in texts for part in _BETWEEN_ADDRESSES.split(text.strip()) if part)
    return addresses or ("",)


def stream_url(url: str, *, resumes: bool = False) -> str:
    """Complete an address: http(s) becomes ws(s), and a missing path the protocol's own.

    `resumes` adds what tells the service that a session is to be taken up.

    Raises CannotConnect if it is no such address.
    """
    # What cannot be taken apart is not quoted: nobody knows which part of it is a password.
    error = CannotConnect(
        "the address of the service is not one such as ws://127.0.0.1:8080 or wss://USER:PASSWORD@HOST:PORT"
    )
    try:
        parts = urlsplit(url)
        is_complete = bool(parts.hostname) and parts.port != 0 and (parts.username is None) == (parts.password is None)
    except ValueError:  # the port is no number up to 65535, or a bracket is missing
        raise error from None
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not is_complete:
        raise error
    path = parts.path if parts.path not in ("", "/") else PATH
    query = "&".join(part for part in (parts.query, _RESUMES if resumes else "") if part)
    return urlunsplit((scheme, parts.netloc, path, query, ""))


def without_secrets(address: str) -> str:
    """Give the address without user, password and query."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def is_loopback(address: str) -> bool:
    """Tell whether the address is on this machine."""
    # A proxy set for the internet must not stand between a client and a service on the same machine.
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
