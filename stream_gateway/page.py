"""The browser page and the JavaScript SDK, as files of the installed package.

They are read once, when the gateway starts. What is asked for is looked up in a table of known paths; no path of a
request ever reaches the file system. Modules and styles of the page are sent joined, for each request is a connection
of its own.
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

from stream_gateway.joined_modules import join_modules

STATIC_PREFIX: Final = "/static/"
_INDEX: Final = "page/index.html"
_TYPES: Final[Mapping[str, str]] = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOLDERS: Final = ("page", "sdk")
_ENTRY: Final = "page/main.js"
_STYLES: Final = tuple(f"page/{name}.css" for name in ("tokens", "frame", "widgets", "captions", "chat", "room"))
"""In the order in which they hold."""
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

    @classmethod
    def installed(cls) -> Self:
        """Read what the package holds; nothing where it was installed without the page."""
        read = dict(_files(files("clients").joinpath("web")))
        assets = {
            ("/" if name == _INDEX else f"{STATIC_PREFIX}{name}"): _asset(name, body) for name, body in read.items()
        }
        if read:
            scripts = {name: body.decode() for name, body in read.items() if name.endswith(".js")}
            for name, joined in (
                ("page.js", join_modules(scripts, _ENTRY).encode()),
                ("page.css", b"".join(read[style] for style in _STYLES)),
            ):
                assets[f"{STATIC_PREFIX}{name}"] = _asset(name, joined)
        return cls(assets)

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
        return _response(HTTPStatus.OK, asset.body, {**fields, "Content-Type": asset.content_type})


def _files(root: Traversable) -> Iterator[tuple[str, bytes]]:
    for folder in _FOLDERS:
        place = root.joinpath(folder)
        for file in sorted(place.iterdir(), key=lambda one: one.name) if place.is_dir() else ():
            stem, _, suffix = file.name.rpartition(".")
            if suffix in _TYPES and stem and file.is_file():
                yield f"{folder}/{file.name}", file.read_bytes()


def _asset(name: str, body: bytes) -> Asset:
    return Asset(body, _TYPES[name.rpartition(".")[2]], f'"{hashlib.sha256(body).hexdigest()[:20]}"')


def _etags(headers: Headers) -> frozenset[str]:
    offered = ",".join(headers.get_all("If-None-Match"))
    return frozenset(one.strip().removeprefix("W/") for one in offered.split(","))


def _response(status: HTTPStatus, body: bytes, fields: Mapping[str, str]) -> Response:
    whole = {**fields, "Content-Length": str(len(body)), "Connection": "close"}
    return Response(status.value, status.phrase, Headers(whole), body)
