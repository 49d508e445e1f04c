"""A real Chromium, driven over its own debugging protocol: needs nothing but the browser."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection, connect

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_WITHIN_S = 60.0
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


class Tab:
    """One page. Every wait ends with TimeoutError after a minute."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._asked = 0
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.complaints: list[str] = []
        """What the console and the log of the browser hold of errors."""

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
        async with asyncio.timeout(_WITHIN_S):
            message = await reply
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""
        result = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def until(self, condition: str) -> Any:
        """The value of a JavaScript expression once it is true; it is looked at in every frame."""
        script = f"""new Promise((resolve) => {{
          const look = () => {{ const value = ({condition}); value ? resolve(value) : setTimeout(look, 16); }};
          look();
        }})"""
        return await self.run(script)

    async def open(self, url: str, *, before: str = "") -> None:
        """Load the page, and wait until it can be used. `before` runs before any of its scripts."""
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=_WATCH + before)
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(_WITHIN_S):
            await self._loaded.wait()
        assert await self.run("document.documentElement.dataset.ready !== undefined"), self.complaints

    async def reload(self) -> None:
        """Load the page again, as its reader would, and wait until it can be used."""
        self._loaded.clear()
        await self.call("Page.reload")
        async with asyncio.timeout(_WITHIN_S):
            await self._loaded.wait()

    async def click(self, element: str) -> None:
        """As a person would, by the id of the element."""
        await self.run(f"document.getElementById({json.dumps(element)}).click()")

    async def text(self, element: str) -> str:
        """What is written in the element of this id."""
        return str(await self.run(f"document.getElementById({json.dumps(element)}).innerText"))

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
        process = await asyncio.create_subprocess_exec(
            *(command, f"--user-data-dir={profile}", *speaks, *_FLAGS),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        try:
            async with asyncio.timeout(_WITHIN_S):
                while b"DevTools listening on " not in (line := await process.stderr.readline()):
                    assert line, "the browser ended before it listened"
            quiet = asyncio.create_task(_discard(process.stderr))
            async with _first_tab(line.split()[-1].decode()) as tab:
                yield tab
            quiet.cancel()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


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


async def _discard(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass
