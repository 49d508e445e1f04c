"""A client that keeps what a client of the protocol has to keep to take its session up again, and does it by hand."""

import asyncio
import json
from typing import Any

from websockets.asyncio.client import ClientConnection

from tests.integration.gateway_client import dial, started

_WITHIN_S = 30.0


class ResumingClient:
    """Of one session, over as many sockets as it takes. Everything that is read goes through `read`."""

    def __init__(self, opened: dict[str, Any], socket: ClientConnection) -> None:
        self.socket = socket
        self.opened = opened
        self.seq = int(opened["seq"])
        self.committed = 0
        self.newest = [0] * int(opened["channels"])
        self.events: list[dict[str, Any]] = []

    @classmethod
    async def start(cls, port: int, *, path: str = "/v1/stream", **fields: Any) -> "ResumingClient":
        """A session that is open."""
        opened: list[dict[str, Any]] = []
        socket = await started(port, path=path, opened=opened, **fields)
        return cls(opened[0], socket)

    @property
    def finals(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == "transcript.final"]

    @property
    def texts(self) -> list[str]:
        return [final["text"] for final in self.finals]

    async def read(self) -> dict[str, Any]:
        async with asyncio.timeout(_WITHIN_S):
            event: dict[str, Any] = json.loads(await self.socket.recv())
        assert event["seq"] == self.seq + 1, "numbers go on without a gap, over all sockets"
        self.seq = event["seq"]
        self.events.append(event)
        if event["type"] == "audio.committed":
            assert event["offset"] >= self.committed
            self.committed = event["offset"]
        if event["type"] in ("transcript.final", "transcript.failed"):
            assert event["segment"] > self.newest[event["channel"]], "told once, and in order"
            self.newest[event["channel"]] = event["segment"]
        return event

    async def until(self, kind: str) -> dict[str, Any]:
        """The next event of this type; what comes before it is kept too."""
        while (event := await self.read())["type"] != kind:
            pass
        return event

    async def resume(self, port: int, *, query: str = "?resume=1", **fields: Any) -> dict[str, Any]:
        """Take the session up on a new socket; `session.resumed`, or the `error` that says why not."""
        self.socket = await dial(port, f"/v1/stream{query}")
        message = {
            "type": "session.resume",
            "session": self.opened["session"],
            "token": self.opened["resume"]["token"],
            "seq": self.seq,
            "offset": self.committed,
            "segments": self.newest,
        }
        await self.socket.send(json.dumps({**message, **fields}))
        while (event := await self.read())["type"] not in ("session.resumed", "error"):
            pass
        if event["type"] == "session.resumed":
            assert event["audio_offset"] >= self.committed
            self.committed = event["audio_offset"]
        return event
