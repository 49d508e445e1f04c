"""A real Firefox, driven over WebDriver BiDi, which it speaks itself: needs nothing but the browser."""

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.browser.page import WITHIN_S, Page
from tests.browser.program import running, said

_NAMES = ("firefox-esr", "firefox")
_FLAGS = ("--headless", "--no-remote", "--remote-debugging-port", "0", "about:blank")
_RETURN = "\ue007"
_LARGEST_REPLY_BYTES = 64 * 1024 * 1024
_PREFERENCES = {
    "media.navigator.permission.disabled": True,  # nobody is there to be asked for the microphone
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "browser.region.network.url": "",
    "services.settings.server": "data:,",
}
_SAY_VIOLATIONS = """() => document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  console.error(`${violatedDirective} ${blockedURI}`))"""


def find_firefox() -> str | None:
    """The browser's command; None where there is none."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


class FirefoxPage(Page):
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        super().__init__()
        self._socket = socket
        self._asked = 0
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._context = ""

    async def listen(self) -> None:
        """Hand out replies for as long as the socket is open."""
        async for text in self._socket:
            message = json.loads(text)
            if message.get("id") is not None:
                self._replies.pop(message["id"]).set_result(message)
            elif message.get("method") == "log.entryAdded" and message["params"]["level"] == "error":
                self.complaints.append(message["params"]["text"])

    async def begin(self) -> None:
        """Once, before anything else."""
        await self.call("session.new", capabilities={})
        self._context = (await self.call("browsingContext.getTree"))["contexts"][0]["context"]
        await self.call("session.subscribe", events=["log.entryAdded"])
        await self.call("script.addPreloadScript", functionDeclaration=_SAY_VIOLATIONS)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol."""
        self._asked += 1
        reply = self._replies[self._asked] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": self._asked, "method": method, "params": params}))
        async with asyncio.timeout(WITHIN_S):
            message = await reply
        assert message["type"] == "success", message
        result: dict[str, Any] = message["result"]
        return result

    async def open(self, url: str) -> None:
        await self.call("browsingContext.navigate", context=self._context, url=url, wait="complete")
        assert await self.run("document.documentElement.dataset.ready !== undefined"), self.complaints

    async def reload(self) -> None:
        await self.call("browsingContext.reload", context=self._context, wait="complete")

    async def run(self, script: str) -> Any:
        # As text, since the protocol has a notation of its own for values.
        value = (await self._evaluate(f"(async () => JSON.stringify(await ({script})))()")).get("value")
        return None if value is None else json.loads(value)

    async def click(self, element: str) -> None:
        """With the mouse: a script alone may do less."""
        middle = {"type": "element", "element": await self._find(element)}
        await self._perform(
            "pointer",
            {"type": "pointerMove", "x": 0, "y": 0, "origin": middle},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        )

    async def type(self, element: str, text: str) -> None:
        await self.run(f"document.getElementById({json.dumps(element)}).focus()")
        keys = [_RETURN if sign == "\n" else sign for sign in text]
        await self._perform("key", *({"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")))

    async def choose_file(self, element: str, path: Path) -> None:
        node = await self._find(element)
        await self.call("input.setFiles", context=self._context, element=node, files=[str(path)])

    async def _perform(self, device: str, *actions: dict[str, Any]) -> None:
        source = {"type": device, "id": device, "actions": actions}
        await self.call("input.performActions", context=self._context, actions=[source])

    async def _find(self, element: str) -> dict[str, str]:
        return {"sharedId": (await self._evaluate(f"document.getElementById({json.dumps(element)})"))["sharedId"]}

    async def _evaluate(self, expression: str) -> dict[str, Any]:
        target = {"context": self._context}
        outcome = await self.call("script.evaluate", expression=expression, target=target, awaitPromise=True)
        assert outcome["type"] == "success", outcome
        result: dict[str, Any] = outcome["result"]
        return result


@asynccontextmanager
async def firefox(command: str, environ: Mapping[str, str]) -> AsyncIterator[FirefoxPage]:
    """A browser of its own with one empty tab. `environ`: where its sound goes."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in _PREFERENCES.items())
        (Path(profile) / "user.js").write_text("".join(lines), encoding="utf-8")
        async with (
            running(command, "--profile", profile, *_FLAGS, environ=environ, stderr=PIPE) as process,
            said(process.stderr, b"WebDriver BiDi listening on ") as address,
            connect(
                f"{address}/session", max_size=_LARGEST_REPLY_BYTES, compression=None, ping_interval=None
            ) as socket,
        ):
            page = FirefoxPage(socket)
            listening = asyncio.create_task(page.listen())
            try:
                await page.begin()
                yield page
            finally:
                listening.cancel()
