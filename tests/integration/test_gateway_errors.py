"""What a client that does something wrong is told, and that nobody else notices. Real sockets, broker and processes."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bus.transport.embedded import EmbeddedNats
from tests.integration.conftest import Launch

pytestmark = pytest.mark.weights
SAMPLE = Path(__file__).parents[2] / "samples" / "austen.flac"
START = {"type": "session.start", "language": "en"}


async def dial(port: int, path: str = "/v1/stream") -> ClientConnection:
    return await connect(f"ws://127.0.0.1:{port}{path}", max_size=None, compression=None)


async def event(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """The next event of this type."""
    async with asyncio.timeout(30):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if message["type"] == kind:
                return message


async def started(port: int, **fields: object) -> ClientConnection:
    """A session that is open. A worker is known within one heartbeat, so the first tries may be refused."""
    async with asyncio.timeout(20):
        while True:
            socket = await dial(port)
            await socket.send(json.dumps({**START, **fields}))
            if json.loads(await socket.recv())["type"] == "session.started":
                return socket
            await socket.close()


async def closed_with(socket: ClientConnection) -> int | None:
    async with asyncio.timeout(10):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code


FATAL_STARTS: list[tuple[dict[str, Any], str, int, str]] = [
    ({"audio": {"encoding": "g729"}}, "unsupported_audio", 4415, "linear16"),
    ({"audio": {"sample_rate": 4000}}, "unsupported_audio", 4415, "8000"),
    ({"audio": {"channels": 3}}, "unsupported_audio", 4415, "from 1 to 2"),
    ({"model": "nonesuch"}, "unknown_model", 4404, "base"),
    ({"language": "klingon"}, "invalid_message", 4400, "ISO 639-1"),
    ({"vad": {"endpoint_s": 99}}, "invalid_message", 4400, "0.2 to 5"),
]


async def test_a_bad_start_is_refused_by_name_and_disturbs_nobody(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    bystander = await started(gateway.port)

    for fields, code, close_code, accepted in FATAL_STARTS:
        socket = await dial(gateway.port)
        async with asyncio.timeout(1):
            await socket.send(json.dumps({**START, **fields}))
            error = await event(socket, "error")
        assert (error["code"], error["fatal"]) == (code, True)
        assert accepted in error["message"]
        assert await closed_with(socket) == close_code

    await bystander.send(json.dumps({"type": "audio.end"}))
    assert (await event(bystander, "session.ended"))["reason"] == "audio_end"


async def test_bad_messages_in_a_running_session_are_answered_and_it_goes_on(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    socket = await started(gateway.port)

    for frame, code in [
        ("{nonsense", "invalid_message"),
        ('{"type": "session.pause"}', "unknown_message_type"),
        (json.dumps(START), "invalid_message"),
    ]:
        await socket.send(frame)
        error = await event(socket, "error")
        assert (error["code"], error["fatal"]) == (code, False)

    await socket.send(json.dumps({"type": "audio.end"}))
    await event(socket, "session.ended")
    assert await closed_with(socket) == 1000


async def test_audio_before_the_start_is_refused(launch_gateway: Launch) -> None:
    gateway = await launch_gateway()
    socket = await dial(gateway.port)
    await socket.send(bytes(3200))
    assert (await event(socket, "error"))["code"] == "audio_before_start"
    assert await closed_with(socket) == 4400


async def test_garbage_and_cut_containers_are_told_apart(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway()
    await launch_worker()

    garbage = await started(gateway.port, audio={"encoding": "container"})
    await garbage.send(b"\x01garbage" * 4000)
    error = await event(garbage, "error")
    assert (error["code"], error["fatal"]) == ("bad_container", True)
    assert await closed_with(garbage) == 4415

    cut = await started(gateway.port, audio={"encoding": "container"})
    data = SAMPLE.read_bytes()
    await cut.send(data[: len(data) // 2])
    await cut.send(json.dumps({"type": "audio.end"}))
    assert (await event(cut, "transcript.final"))["text"]
    assert (await event(cut, "error"))["code"] == "bad_container"


async def test_an_oversize_frame_closes_its_own_socket_only(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_MAX_FRAME_BYTES="65536")
    await launch_worker()
    bystander, socket = await started(gateway.port), await started(gateway.port)
    await socket.send(bytes(65537))
    assert await closed_with(socket) == 1009
    await bystander.send(json.dumps({"type": "audio.end"}))
    await event(bystander, "session.ended")


async def test_without_a_worker_or_without_nats_a_client_is_told_at_once(
    launch_gateway: Launch, nats_server: EmbeddedNats
) -> None:
    gateway = await launch_gateway()
    for code in ("no_worker", "bus_unavailable"):
        socket = await dial(gateway.port)
        async with asyncio.timeout(1):
            await socket.send(json.dumps(START))
            error = await event(socket, "error")
        assert (error["code"], error["retryable"], error["fatal"]) == (code, True, True)
        assert await closed_with(socket) == 1013
        await nats_server.kill()


async def test_keys_limits_and_paths_are_answered_before_the_upgrade(launch_gateway: Launch) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=secret", HARKEN_GATEWAY_MAX_SESSIONS="1")
    refusals = {"/v1/stream": 401, "/v1/stream?token=wrong": 401, "/elsewhere": 404}
    for path, status in refusals.items():
        with pytest.raises(InvalidStatus) as refusal:
            await dial(gateway.port, path)
        assert refusal.value.response.status_code == status

    async with await dial(gateway.port, "/v1/stream?token=secret"):
        with pytest.raises(InvalidStatus) as refusal:
            await dial(gateway.port, "/v1/stream?token=secret")
    assert refusal.value.response.status_code == 503
    assert refusal.value.response.headers["Retry-After"] == "5"


async def test_a_drain_tells_clients_and_lets_them_finish(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    socket = await started(gateway.port)
    gateway.process.send_signal(signal.SIGTERM)
    assert (await event(socket, "session.draining"))["within_s"] == 20
    await socket.send(json.dumps({"type": "audio.end"}))
    await event(socket, "session.ended")
    assert await gateway.stop(signal.SIGCONT) == 0
