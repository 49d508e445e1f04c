"""The browser page and the JavaScript SDK, as files of the installed package.

They are read once, when the gateway starts. What is asked for is looked up in a table of known paths; no path of a
request ever reaches the file system.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, Self
from urllib.parse import parse_qs

from websockets.datastructures import Headers
from websockets.http11 import Response

STATIC_PREFIX: Final = "/static/"
_INDEX: Final = "page/index.html"
_TYPES: Final[Mapping[str, str]] = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOLDERS: Final = ("page", "sdk")
_WORKLETS: Final = "-worklet.js"
"""End of the names of scripts that run on the audio thread, and are fetched when somebody speaks."""
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
)
_HEADERS: Final[Mapping[str, str]] = {
    # Asked for again each time, answered with 304 if it is still the same: an upgrade shows at the next load.
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    body: bytes
    content_type: str
    etag: str


class Page:
    """Answers `/` and `/static/...`."""

    def __init__(self, assets: Mapping[str, Asset]) -> None:
        self._assets = assets
        modules = [path for path in assets if path.endswith(".js") and not path.endswith(_WORKLETS)]
        # All modules at once, not each when the one that imports it has come: three round trips less.
        self._preload = ", ".join(f"<{path}>; rel=modulepreload" for path in modules)

    @classmethod
    def installed(cls) -> Self:
        """Read what the package holds; nothing where it was installed without the page."""
        return cls(dict(_assets(files("clients").joinpath("web"))))

    def answer(self, request_path: str, headers: Headers) -> Response | None:
        """The file, or 304 if the browser has it; None if no file of the page has this path."""
        path, _, query = request_path.partition("?")
        asset = self._assets.get(path)
        if asset is None:
            return None
        # The embedded variant is made to stand in other people's pages; the full one is not.
        ancestors = "*" if parse_qs(query).get("embed") == ["1"] else "'self'"
        fields = {**_HEADERS, "ETag": asset.etag, "Content-Security-Policy": _POLICY.format(ancestors=ancestors)}
        if asset.etag in _etags(headers):
            return _response(HTTPStatus.NOT_MODIFIED, b"", fields)
        if path == "/":
            fields["Link"] = self._preload
        return _response(HTTPStatus.OK, asset.body, {**fields, "Content-Type": asset.content_type})


def _assets(root: Traversable) -> Iterator[tuple[str, Asset]]:
    for folder in _FOLDERS:
        place = root.joinpath(folder)
        for file in sorted(place.iterdir(), key=lambda one: one.name) if place.is_dir() else ():
            stem, _, suffix = file.name.rpartition(".")
            if suffix not in _TYPES or not stem or not file.is_file():
                continue
            body = file.read_bytes()
            asset = Asset(body, _TYPES[suffix], f'"{hashlib.sha256(body).hexdigest()[:20]}"')
            name = f"{folder}/{file.name}"
            yield ("/" if name == _INDEX else f"{STATIC_PREFIX}{name}"), asset


def _etags(headers: Headers) -> frozenset[str]:
    offered = ",".join(headers.get_all("If-None-Match"))
    return frozenset(one.strip().removeprefix("W/") for one in offered.split(","))


def _response(status: HTTPStatus, body: bytes, fields: Mapping[str, str]) -> Response:
    whole = {**fields, "Content-Length": str(len(body)), "Connection": "close"}
    return Response(status.value, status.phrase, Headers(whole), body)
