"""whisper-live's own clients, unmodified. Their module wants a microphone library: a stub says that there is none."""

import asyncio
import gc
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.integration.conftest import Launch
from tests.integration.gateway_client import became, speech


class _NoMicrophone:
    """What PyAudio is where there is no sound."""

    def open(self, **_options: object) -> object:
        raise OSError("no microphone")

    def terminate(self) -> None:
        """Nothing was opened."""


def _whisper_live() -> Any:
    stub = ModuleType("pyaudio")
    vars(stub).update(PyAudio=_NoMicrophone, paInt16=8)
    sys.modules.setdefault("pyaudio", stub)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("whisper_live.client")


whisper_live = _whisper_live()
pytestmark = [
    pytest.mark.weights,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
FRAME_BYTES = 8_192


@pytest.fixture(autouse=True)
def forget_clients() -> Iterator[None]:
    """The library keeps every client in a table, and leaves sockets open that the server closed."""
    yield
    whisper_live.Client.INSTANCES.clear()
    gc.collect()


def heard(port: int | str, audio: bytes, **options: object) -> tuple[list[str], list[dict[str, Any]]]:
    """Partials as they were told, and the transcript that the client keeps."""
    partials: list[str] = []
    client = whisper_live.StreamingTranscriptionClient(
        "127.0.0.1", port, on_partial_transcript=lambda text, _segments: partials.append(text), **options
    )
    with client:
        for offset in range(0, len(audio), FRAME_BYTES):
            client.send(audio[offset : offset + FRAME_BYTES], pcm_format="int16")
    return partials, client.transcript


async def test_the_streaming_client_gets_all_of_the_text(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_PARTIAL_INTERVAL_S="0.1")
    await launch_worker()
    await became(gateway.port, 200)
    partials, transcript = await asyncio.to_thread(heard, gateway.port, speech(16), lang="en")
    words = " ".join(segment["text"].strip() for segment in transcript).split()
    assert len(words) == len(set(words)) > 20
    assert partials
    assert all(segment["completed"] for segment in transcript)


async def test_a_key_goes_with_the_port(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS="acme=secret")
    await launch_worker()
    await became(gateway.port, 200)
    _, transcript = await asyncio.to_thread(heard, f"{gateway.port}/whisperlive?token=secret", speech(8))
    assert transcript


async def test_a_full_service_tells_the_client_to_wait(
    launch_gateway: Launch, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = await launch_gateway()

    def refused() -> str:
        client = whisper_live.StreamingTranscriptionClient("127.0.0.1", gateway.port)
        with pytest.raises(RuntimeError) as error:
            client.connect()
        return str(error.value)

    # Which of the two this client sees first is a race within it.
    assert await asyncio.to_thread(refused) in ("Server is full.", "Connection closed (code 1013): no_worker")
    assert "Server is full. Estimated wait time 1 minutes." in capsys.readouterr().out


async def test_the_client_of_the_command_line_keeps_the_same_text(
    launch_gateway: Launch, launch_worker: Launch, tmp_path: Any
) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    await became(gateway.port, 200)

    def transcript() -> list[dict[str, Any]]:
        client = whisper_live.Client("127.0.0.1", gateway.port, lang="en", log_transcription=False)
        try:
            while not client.recording:
                client.ws_thread.join(0.05)
            client.send_packet_to_server(_as_float32(speech(16)))
            client.send_packet_to_server(b"END_OF_AUDIO")
            client.ws_thread.join(30)
            assert not client.ws_thread.is_alive()
        finally:
            client.close_websocket()
        kept: list[dict[str, Any]] = client.transcript
        return kept

    segments = await asyncio.to_thread(transcript)
    words = " ".join(segment["text"].strip() for segment in segments).split()
    assert len(words) == len(set(words)) > 20


def _as_float32(audio: bytes) -> bytes:
    samples: bytes = (whisper_live.np.frombuffer(audio, dtype="<i2").astype("<f4") / 32768).tobytes()
    return samples
