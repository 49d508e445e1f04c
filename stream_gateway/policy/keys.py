"""From an API key to a tenant."""

import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from bus.contract.errors import Unauthorized
from bus.contract.identifiers import check_identifier
from stream_gateway.policy.subprotocols import offered_key

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


def presented_key(
    path: str, *, authorization: str | None = None, api_key: str | None = None, subprotocols: Sequence[str] = ()
) -> str | None:
    """The key that a request carries: the first of those that its sources hold, in the order of the arguments.

    `Authorization: Bearer K` or `Token K`, the header `api-key: K`, a subprotocol, `?token=K` in the path.
    """
    return (
        _key_of(_as_utf8(authorization or ""))
        or _as_utf8(api_key or "").strip()
        or offered_key(subprotocols)
        or next(iter(parse_qs(path.partition("?")[2]).get("token", [])), None)
    )


def _key_of(authorization: str) -> str:
    scheme, _, key = authorization.strip().partition(" ")
    return key.strip() if scheme.lower() in _SCHEMES else ""


def _as_utf8(value: str) -> str:
    # websockets reads headers as ISO-8859-1, which stands for any bytes. Keys are configured in UTF-8.
    return value.encode("iso-8859-1", "surrogateescape").decode(errors="surrogateescape")


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
        raise Unauthorized("a valid key is needed: Authorization: Bearer KEY, api-key: KEY, or ?token=KEY")
    return found
