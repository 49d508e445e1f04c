import hashlib

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Response

from stream_gateway.page import Asset, Page

INDEX = Asset(b"<html>", "text/html; charset=utf-8", '"one"')
SCRIPT = Asset(b"let x;", "text/javascript; charset=utf-8", '"two"')
PAGE = Page({"/": INDEX, "/static/page/main.js": SCRIPT})


def answer(path: str, **headers: str) -> Response:
    response = PAGE.answer(path, Headers({name.replace("_", "-"): value for name, value in headers.items()}))
    assert response is not None
    return response


def test_a_file_comes_with_its_type_and_length_and_is_asked_for_again_next_time() -> None:
    response = answer("/static/page/main.js?x=1")
    assert (response.status_code, response.body) == (200, b"let x;")
    headers = response.headers
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert headers["Content-Length"] == "6"
    assert (headers["Cache-Control"], headers["ETag"]) == ("no-cache", '"two"')
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("offered", ['"two"', 'W/"two"', '"other", "two"'])
def test_what_the_browser_has_is_not_sent_again(offered: str) -> None:
    response = answer("/static/page/main.js", If_None_Match=offered)
    assert (response.status_code, response.body) == (304, b"")
    assert response.headers["ETag"] == '"two"'
    assert answer("/static/page/main.js", If_None_Match='"other"').status_code == 200


def test_a_header_that_comes_twice_is_read_as_one() -> None:
    headers = Headers([("If-None-Match", '"other"'), ("If-None-Match", '"two"')])
    response = PAGE.answer("/static/page/main.js", headers)
    assert response is not None and response.status_code == 304


def test_nothing_but_our_own_files_may_run_and_only_the_embedded_page_stand_in_others() -> None:
    policy = answer("/").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert policy.endswith("frame-ancestors 'self'")
    assert answer("/?embed=1").headers["Content-Security-Policy"].endswith("frame-ancestors *")
    assert answer("/?embed=0&embed=1").headers["Content-Security-Policy"].endswith("frame-ancestors 'self'")


@pytest.mark.parametrize("path", ["/static/", "/static/page/../page/main.js", "/static/page/%6dain.js", "/index.html"])
def test_other_paths_are_not_the_page(path: str) -> None:
    assert PAGE.answer(path, Headers()) is None


def test_the_installed_page_is_whole() -> None:
    page = Page.installed()
    response = page.answer("/", Headers())
    assert response is not None and b"<title>Harken" in response.body
    assert response.headers["ETag"] == f'"{hashlib.sha256(response.body).hexdigest()[:20]}"'
    script, style = (page.answer(path, Headers()) for path in ("/static/page.js", "/static/page.css"))
    assert script is not None and b"class LiveSession" in script.body and b"import {" not in script.body
    assert style is not None and style.headers["Content-Type"] == "text/css; charset=utf-8"
    worklet = page.answer("/static/sdk/capture-worklet.js", Headers())
    assert worklet is not None and worklet.headers["Content-Type"].startswith("text/javascript")
    for path in ("/static/sdk/harken.d.ts", "/static/page/index.html", "/static/package.json"):
        assert page.answer(path, Headers()) is None
