"""A real Chromium, driven over its own debugging protocol: needs nothing but the browser."""

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect

from tests.browser.page import WITHIN_S, Page
from tests.browser.program import running, said

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_LARGEST_REPLY_BYTES = 64 * 1024 * 1024
INSECURE_HOST = "harken.test"
"""A name for this machine that browsers take for a stranger's."""
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--remote-debugging-port=0",
    "--use-fake-device-for-media-stream",
    f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1",
    "about:blank",
)
_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  window.violations.push(`${violatedDirective} ${blockedURI}`));
"""


def find_browser() -> str | None:
    """The browser's command; None where there is none."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


class Tab(Page):
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        super().__init__()
        self._socket = socket
        self._asked = 0
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()

    async def listen(self) -> None:
        """Hand out replies for as long as the socket is open."""
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._replies.pop(message["id"]).set_result(message)
            elif message["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif message["method"] == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(message["params"]["exceptionDetails"]))
            elif message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.complaints.append(message["params"]["entry"]["text"])

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol."""
        self._asked += 1
        reply = self._replies[self._asked] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": self._asked, "method": method, "params": params}))
        async with asyncio.timeout(WITHIN_S):
            message = await reply
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    async def run(self, script: str) -> Any:
        result = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def open(self, url: str, *, before: str = "") -> None:
        """`before` runs before any of the page's scripts."""
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=_WATCH + before)
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(WITHIN_S):
            await self._loaded.wait()
        assert await self.run("document.documentElement.dataset.ready !== undefined"), self.complaints

    async def reload(self) -> None:
        self._loaded.clear()
        await self.call("Page.reload")
        async with asyncio.timeout(WITHIN_S):
            await self._loaded.wait()

    async def type(self, element: str, text: str) -> None:
        await self.run(f"document.getElementById({json.dumps(element)}).focus()")
        for part in text.splitlines(keepends=True):
            await self.call("Input.insertText", text=part.rstrip("\n"))
            if part.endswith("\n"):
                await self.press("Enter", 13)

    async def choose_file(self, element: str, path: Path) -> None:
        document = await self.call("DOM.getDocument")
        node = await self.call("DOM.querySelector", nodeId=document["root"]["nodeId"], selector=f"#{element}")
        await self.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node["nodeId"])

    async def press(self, key: str, code: int) -> None:
        """One key, down and up."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    async def allow_microphone(self, setting: Literal["granted", "denied"]) -> None:
        """What the person answered, or will answer, when asked for the microphone."""
        await self.call("Browser.setPermission", permission={"name": "microphone"}, setting=setting)

    async def resize(self, width: int, height: int) -> None:
        """CSS pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )


@asynccontextmanager
async def chromium(command: str, microphone: Path | None = None, *, loops: bool = False) -> AsyncIterator[Tab]:
    """A browser of its own with one empty tab. `microphone`: a WAV file that is spoken, once or over and over."""
    how = "" if loops else "%noloop"
    speaks = () if microphone is None else (f"--use-file-for-fake-audio-capture={microphone}{how}",)
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with (
            running(command, f"--user-data-dir={profile}", *speaks, *_FLAGS, stderr=PIPE) as process,
            said(process.stderr, b"DevTools listening on ") as address,
            _first_tab(address) as tab,
        ):
            yield tab


@asynccontextmanager
async def _first_tab(browser_url: str) -> AsyncIterator[Tab]:
    async with connect(browser_url, max_size=_LARGEST_REPLY_BYTES, compression=None) as socket:
        await socket.send('{"id": 1, "method": "Target.getTargets"}')
        targets = json.loads(await socket.recv())["result"]["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
    address = browser_url.partition("/devtools/")[0] + f"/devtools/page/{target}"
    async with connect(address, max_size=_LARGEST_REPLY_BYTES, compression=None, ping_interval=None) as socket:
        tab = Tab(socket)
        listening = asyncio.create_task(tab.listen())
        try:
            for domain in ("Page", "Runtime", "Log"):
                await tab.call(f"{domain}.enable")
            await tab.allow_microphone("granted")
            yield tab
        finally:
            listening.cancel()
