"""The client of the benchmarks against a service that says just what it is told to."""

from websockets.asyncio.server import ServerConnection, serve

from benchmarks.playback import play
from benchmarks.recordings import BYTES_PER_S
from bus.contract.client_protocol import Limits, SessionStarted, TranscriptPartial, encode_message

STARTED = SessionStarted(
    seq=1, session="s", audio_offset=0, sample_rate=16_000, channels=1, model="base",
    limits=Limits(max_frame_bytes=1 << 20, max_session_s=60.0, idle_timeout_s=60.0, max_buffered_audio_s=60.0),
)  # fmt: skip
PARTIAL = TranscriptPartial(
    seq=2, segment=1, channel=0, start_s=0.0, end_s=0.1, stable="", text="the", language="en"
)  # fmt: skip


async def test_a_session_that_does_not_end_is_given_up_and_what_came_is_kept() -> None:
    async def handler(socket: ServerConnection) -> None:
        await socket.send(encode_message(STARTED))
        await socket.send(encode_message(PARTIAL))
        async for _ in socket:
            pass

    async with serve(handler, "127.0.0.1", 0) as listening:
        url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        played = await play(url, bytes(BYTES_PER_S // 10), speed=1.0, language="en", patience_s=0.3)
    assert played.error == "given up 0.3 s after the audio had ended"
    assert [one.text for _, one in played.partials] == ["the"]
