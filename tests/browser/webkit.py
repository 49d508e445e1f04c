"""A real WebKit: WebKitGTK's MiniBrowser on a screen of its own, driven over WebDriver."""

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from bus.control.probes import free_port
from tests.browser.page import WITHIN_S, Page
from tests.browser.program import running, said

_PROGRAMS = ("WebKitWebDriver", "Xvfb")
_SCREEN = ("Xvfb", "-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp")
_ARGUMENTS = ("--automation", "--enable-media-stream=true", "--enable-write-console-messages-to-stdout=true")
_RETURN = "\ue006"
_NO_LOCALE = {"LC_ALL": "C.UTF-8"}
"""As in a container: this browser then tells its pages of a language named C."""
_ATTEMPTS = 7
"""The driver does not say when it listens; the last of these comes after half a minute."""
_AWAITED = """
const done = arguments[arguments.length - 1];
(async () => JSON.stringify(await (%s)))().then((value) => done({ value }), (error) => done({ error: String(error) }));
"""


def find_webkit() -> str | None:
    """MiniBrowser's path; None where it, its driver or the screen is missing."""
    if not all(map(shutil.which, _PROGRAMS)):
        return None
    return next((str(path) for path in Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser")), None)


class WebKitPage(Page):
    """One window. The browser lets it use the microphone because it is driven."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        super().__init__()
        self._client = client
        self._session = ""

    async def listen(self, stream: asyncio.StreamReader | None) -> None:
        """Note what the browser writes of its console, which is also where it tells what a policy has stopped."""
        assert stream is not None
        async for line in stream:
            text = line.decode(errors="replace").strip()
            if text.startswith("CONSOLE") and " ERROR " in text:
                self.complaints.append(text)

    async def begin(self, browser: str) -> None:
        """Once, before anything else."""
        options = {"webkitgtk:browserOptions": {"binary": browser, "args": _ARGUMENTS}}
        self._session = (await self.call("POST", "", {"capabilities": {"alwaysMatch": options}}))["sessionId"]
        await self.call("POST", "/timeouts", {"script": 1000 * WITHIN_S})

    async def end(self) -> None:
        """Close the browser."""
        if self._session:
            await self.call("DELETE", "")

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One command of the protocol."""
        address = f"/session/{self._session}{path}" if self._session else "/session"
        answer = await self._client.request(method, address, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["value"]

    async def open(self, url: str) -> None:
        await self.call("POST", "/url", {"url": url})
        await self.until("document.documentElement.dataset.ready !== undefined")  # the driver does not wait for modules

    async def reload(self) -> None:
        await self.call("POST", "/refresh", {})
        await self.until("document.documentElement.dataset.ready !== undefined")

    async def run(self, script: str) -> Any:
        outcome = await self.call("POST", "/execute/async", {"script": _AWAITED % script, "args": []})
        assert "error" not in outcome, outcome["error"]
        value = outcome.get("value")
        return None if value is None else json.loads(value)

    async def click(self, element: str) -> None:
        """With the mouse: a script alone may do less."""
        await self.call("POST", f"/element/{await self._find(element)}/click", {})

    async def type(self, element: str, text: str) -> None:
        await self.call("POST", f"/element/{await self._find(element)}/value", {"text": text.replace("\n", _RETURN)})

    async def choose_file(self, element: str, path: Path) -> None:
        await self.call("POST", f"/element/{await self._find(element)}/value", {"text": str(path)})

    async def _find(self, element: str) -> str:
        found = await self.call("POST", "/element", {"using": "css selector", "value": f"#{element}"})
        return str(next(iter(found.values())))


@asynccontextmanager
async def webkit(browser: str, environ: Mapping[str, str]) -> AsyncIterator[WebKitPage]:
    """A browser of its own with one empty window. `environ`: where its sound goes."""
    port = free_port("127.0.0.1")
    transport = httpx.AsyncHTTPTransport(retries=_ATTEMPTS)
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        async with (
            running(*_SCREEN, stdout=PIPE) as screen,
            said(screen.stdout, b"") as display,
            running(
                *("WebKitWebDriver", f"--port={port}"),
                environ={**environ, **_NO_LOCALE, "DISPLAY": f":{display}", "HOME": home},
                stdout=PIPE,
            ) as driver,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", transport=transport, timeout=2 * WITHIN_S) as client,
        ):
            page = WebKitPage(client)
            listening = asyncio.create_task(page.listen(driver.stdout))
            try:
                await page.begin(browser)
                yield page
            finally:
                await page.end()
                listening.cancel()
