"""From an API key to a tenant."""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qs

from bus.contract.errors import Unauthorized
from bus.contract.identifiers import check_identifier

DEFAULT_TENANT = "default"
_SCHEMES = ("bearer", "token")


def parse_keys(pairs: tuple[str, ...]) -> dict[str, str]:
    """Read `tenant=key` pairs into a table of tenants by key; ValueError names the pair by position, never its text."""
    tenants: dict[str, str] = {}
    for position, pair in enumerate(pairs, start=1):
        tenant, separator, key = pair.partition("=")
        if not separator or not key:
            raise ValueError(f"API key {position} must be written tenant=key")
        if key in tenants:
            raise ValueError(f"API key {position} is given twice")
        tenants[key] = check_identifier(tenant, f"tenant of API key {position}")
    return tenants


def presented_key(path: str, authorization: str | None) -> str | None:
    """The key a request carries: `Authorization: Bearer K` or `Token K`, else `?token=K`."""
    if authorization is not None:
        scheme, _, key = authorization.strip().partition(" ")
        if scheme.lower() in _SCHEMES and key.strip():
            return key.strip()
    tokens = parse_qs(path.partition("?")[2]).get("token", [])
    return tokens[0] if tokens else None


def tenant_for(key: str | None, tenants: Mapping[str, str]) -> str:
    """The tenant of `key`; raises Unauthorized. Without a table everyone is the default tenant.

    Every key is compared, each in constant time, so that an answer's delay tells nothing about how close a guess was.
    """
    if not tenants:
        return DEFAULT_TENANT
    presented = (key or "").encode(errors="surrogateescape")  # a header may hold any byte
    found = ""
    for known, tenant in tenants.items():
        if hmac.compare_digest(known.encode(), presented):
            found = tenant
    if not found:
        raise Unauthorized("a valid key is needed: Authorization: Bearer KEY, or ?token=KEY")
    return found
