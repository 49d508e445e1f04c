"""The client of the comparison against small servers that speak as the peers do."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, serve

from benchmarks.peers.messages import read_whisper_live, read_whisper_live_kit
from benchmarks.peers.observed import Observed
from benchmarks.peers.socket_client import Dialect, play_socket
from benchmarks.recordings import BYTES_PER_S

PCM = bytes(BYTES_PER_S // 5)
END = b"END_OF_AUDIO"
Serve = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def server(handler: Serve) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0) as listening:
        yield f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def whisper_live(handler: Serve, *, quiet_s: float = 0.1) -> Observed:
    async with server(handler) as url:
        return await play_socket(Dialect(url, "{}", END, read_whisper_live, quiet_s), PCM)


async def whisper_live_kit(handler: Serve) -> Observed:
    async with server(handler) as url:
        return await play_socket(Dialect(url, None, b"", read_whisper_live_kit, None), PCM)


def segments(*texts: str) -> str:
    return json.dumps({"segments": [{"text": text} for text in texts]})


async def greet(socket: ServerConnection) -> None:
    await socket.recv()
    await socket.send(json.dumps({"message": "SERVER_READY"}))


async def test_a_server_that_drops_its_tail_hears_of_the_end_only_after_it_was_quiet() -> None:
    heard = bytearray()

    async def handler(socket: ServerConnection) -> None:
        await greet(socket)
        async for message in socket:
            if message == END:
                return
            assert isinstance(message, bytes)
            heard.extend(message)
            if len(heard) == len(PCM):
                await socket.send(segments("the red"))
                await socket.send(segments("the red", "door"))

    observed = await whisper_live(handler)
    assert (observed.text, observed.error) == ("the red door", "")
    assert [text for _, text in observed.texts] == ["the red", "the red door"]
    assert bytes(heard) == PCM


async def test_a_server_that_says_when_it_is_done_is_told_of_the_end_at_once() -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.send(json.dumps({"type": "config"}))
        async for message in socket:
            if not message:
                await socket.send(json.dumps({"lines": [{"text": "all of it"}]}))
                await socket.send(json.dumps({"type": "ready_to_stop"}))

    observed = await whisper_live_kit(handler)
    assert (observed.text, observed.error) == ("all of it", "")


async def test_a_server_that_is_full_has_refused() -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(json.dumps({"status": "WAIT", "message": 3}))

    assert (await whisper_live(handler)).error == "refused: WAIT 3"


async def test_a_server_that_closes_before_it_is_ready_has_refused() -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.recv()

    assert (await whisper_live(handler)).error == "refused without a word"


async def test_what_was_shown_before_a_server_broke_off_is_kept() -> None:
    async def handler(socket: ServerConnection) -> None:
        await greet(socket)
        await socket.recv()
        await socket.send(segments("the red"))
        await socket.close(1011)

    observed = await whisper_live(handler)
    assert (observed.text, observed.error) == ("the red", "closed by the server: 1011")


async def test_an_end_in_the_middle_of_the_audio_is_a_failure() -> None:
    async def handler(socket: ServerConnection) -> None:
        await greet(socket)
        await socket.send(json.dumps({"message": "DISCONNECT"}))
        await socket.wait_closed()

    assert (await whisper_live(handler)).error == "ended before the audio did"


async def test_nobody_there_is_a_failure_and_no_exception() -> None:
    async with server(lambda socket: socket.wait_closed()) as url:
        pass
    observed = await play_socket(Dialect(url, None, b"", read_whisper_live_kit, None), PCM)
    assert observed.error == "no connection: ConnectionRefusedError"
