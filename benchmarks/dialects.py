"""What a dialect adds to the time of a final: the same recording at the same time over native v1 and the others.

The service is its own, with scripted workers, so that decoding takes no time. Prints a table and one JSON line.
`python -m benchmarks.dialects --help`
"""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import soundfile
import soxr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.bars import Bar, bar_row
from benchmarks.report import Row, show_json, show_lines
from benchmarks.scoring import percentile
from benchmarks.service import service

_SAMPLE = Path(__file__).parents[1] / "samples" / "austen.flac"
_RATE_HZ = 16_000
_CHUNK_S = 0.1
_NATIVE = "native v1"
_BAR = Bar("added p50", 0.005)
_PATIENCE_S = 15.0


@dataclass(frozen=True, slots=True)
class Protocol:
    """How one protocol is spoken to."""

    name: str
    path: str
    opening: str | None
    """First text frame."""
    ready: str
    """What the frame holds after which audio may come; empty: it may come at once."""
    rate_hz: int
    spell: Callable[[np.ndarray[Any, np.dtype[np.float32]]], str | bytes]
    """Samples as one frame."""
    finals: Callable[[dict[str, Any]], int]
    """How many new finals a message holds; for WhisperLive, how many there are in all."""


def _int16(samples: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
    return bytes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


_PROTOCOLS: Sequence[Protocol] = (
    Protocol(
        _NATIVE,
        "/v1/stream",
        '{"type":"session.start","language":"en"}',
        "session.started",
        _RATE_HZ,
        _int16,
        lambda message: message.get("type") == "transcript.final",
    ),
    Protocol(
        "OpenAI Realtime",
        "/v1/realtime?intent=transcription",
        '{"type":"session.update","session":{"type":"transcription","audio":{"input":{"transcription":{"language":"en"},'
        '"turn_detection":{"type":"server_vad","silence_duration_ms":500}}}}}',
        "session.updated",
        24_000,
        lambda samples: json.dumps(
            {"type": "input_audio_buffer.append", "audio": base64.b64encode(_int16(samples)).decode()}
        ),
        lambda message: message.get("type") == "conversation.item.input_audio_transcription.completed",
    ),
    Protocol(
        "Deepgram",
        "/v1/listen?encoding=linear16&sample_rate=16000&language=en&punctuate=true",
        None,
        "",
        _RATE_HZ,
        _int16,
        lambda message: bool(message.get("is_final") and message["channel"]["alternatives"][0]["transcript"]),
    ),
    Protocol(
        "WhisperLive",
        "/whisperlive",
        '{"uid":"b","language":"en","task":"transcribe","model":"base","use_vad":true}',
        "SERVER_READY",
        _RATE_HZ,
        lambda samples: samples.astype("<f4").tobytes(),
        lambda message: sum(one["completed"] for one in message.get("segments", ())),
    ),
)


@click.command()
@click.option("--rounds", default=4, show_default=True, help="In each, every protocol plays the recording once.")
def main(rounds: int) -> None:
    """Measure how much later finals come over each dialect than over the native protocol."""
    heard = asyncio.run(_measure(rounds))
    native = heard[_NATIVE]
    rows: list[Row] = []
    for name, times in heard.items():
        late = [at - own for at, own in zip(times, native, strict=True)]
        rows.append(
            {"protocol": name, "finals": len(times), "added p50": percentile(late, 50), "p95": percentile(late, 95)}
        )
    show_lines("seconds that a final comes later than over native v1 in the same round", rows)
    bars = [{"protocol": row["protocol"], **bar_row(_BAR, float(row["added p50"]))} for row in rows[1:]]
    show_lines("bars", bars)
    show_json("dialects", {"rounds": rounds, "rows": rows, "bars": bars})


async def _measure(rounds: int) -> dict[str, list[float]]:
    """When each final came, in seconds after the session's first sample, by protocol."""
    heard: dict[str, list[float]] = {protocol.name: [] for protocol in _PROTOCOLS}
    settings = {"HARKEN_ASR_ENGINE": "scripted"}
    async with service(None, "--llm-workers", "0", settings=settings) as (url, _):
        base = url.removesuffix("/v1/stream")
        for _ in range(rounds):
            played = await asyncio.gather(*(_play(base, protocol) for protocol in _PROTOCOLS))
            for protocol, times in zip(_PROTOCOLS, played, strict=True):
                heard[protocol.name] += times
    return heard


async def _play(base: str, protocol: Protocol) -> list[float]:
    audio, rate_hz = soundfile.read(_SAMPLE, dtype="float32")
    quiet = np.zeros(rate_hz, dtype=np.float32)  # so that the last utterance ends like the others
    samples = soxr.resample(np.concatenate((audio, quiet)), rate_hz, protocol.rate_hz)
    async with connect(base + protocol.path, max_size=None, compression=None) as socket:
        if protocol.opening is not None:
            await socket.send(protocol.opening)
        while protocol.ready and protocol.ready not in str(await socket.recv()):
            pass
        finals: list[float] = []
        began = time.monotonic()
        hearing = asyncio.create_task(_hear(socket, protocol, began, finals))
        step = int(_CHUNK_S * protocol.rate_hz)
        for number, first in enumerate(range(0, len(samples), step)):
            await asyncio.sleep(max(0.0, began + number * _CHUNK_S - time.monotonic()))
            await socket.send(protocol.spell(samples[first : first + step]))
        await asyncio.sleep(1.0)  # the last final is on its way
    await asyncio.wait_for(hearing, _PATIENCE_S)
    return finals


async def _hear(socket: ClientConnection, protocol: Protocol, began: float, finals: list[float]) -> None:
    try:
        async for frame in socket:
            at = time.monotonic() - began
            count = protocol.finals(json.loads(frame))
            new = count - len(finals) if protocol.name == "WhisperLive" else count
            finals += [at] * new
    except ConnectionClosed:
        pass


if __name__ == "__main__":
    main()
