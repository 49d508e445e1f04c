"""Where audio comes from: each source knows its format and gives its bytes in order."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from bus.contract.client_protocol import AudioFormat
from clients.cli.media import SAMPLE_RATE_HZ, ByteReader, decode, read_raw
from clients.cli.microphone import BlockQueue, Microphone
from clients.cli.pump import pump

RawFormat = Literal["s16le", "f32le", "mulaw", "alaw"]
RAW_ENCODINGS: Final[dict[RawFormat, str]] = {
    "s16le": "linear16",
    "f32le": "float32",
    "mulaw": "mulaw",
    "alaw": "alaw",
}
_SAMPLE_BYTES: Final = {"linear16": 2, "float32": 4, "mulaw": 1, "alaw": 1}
_PACED_CHUNK_S = 0.1
_UNPACED_CHUNK_S = 0.5


@dataclass(frozen=True, slots=True)
class Source:
    """One recording or device. `chunks` may be called once."""

    label: str
    audio: AudioFormat
    chunks: Callable[[], AsyncGenerator[bytes, None]]
    finish: Callable[[], None] | None = None
    """Of a live source: capture no more, so that `chunks` ends after what was captured already."""

    @property
    def is_live(self) -> bool:
        """Tell whether audio comes at the speed of speech, and stopping is its only end."""
        return self.finish is not None

    @property
    def bytes_per_s(self) -> int:
        """Bytes of one second of audio."""
        return _bytes_per_s(self.audio)


def file_source(path: Path, *, separate_channels: bool, paced: bool) -> Source:
    """Make the source of a file in any format, decoded here."""
    return _decoded(path, str(path), separate_channels=separate_channels, paced=paced)


def stream_source(reader: ByteReader, *, label: str, separate_channels: bool, paced: bool) -> Source:
    """Make the source of a container that arrives on a pipe, decoded here."""
    return _decoded(reader, label, separate_channels=separate_channels, paced=paced)


def raw_source(
    reader: ByteReader, *, label: str, raw_format: RawFormat, rate_hz: int, channels: int, separate_channels: bool
) -> Source:
    """Make the source of bare samples on a pipe, sent as they come."""
    audio = AudioFormat(
        encoding=RAW_ENCODINGS[raw_format],
        sample_rate=rate_hz,
        channels=channels,
        channel_mode="separate" if separate_channels else "mix",
    )
    chunk_bytes = int(_bytes_per_s(audio) * _PACED_CHUNK_S)
    return Source(label, audio, partial(pump, partial(read_raw, reader, chunk_bytes=chunk_bytes)))


def microphone_source(microphone: Microphone, waiting: BlockQueue) -> Source:
    """Make the source of a sound device."""
    audio = AudioFormat(encoding="linear16", sample_rate=microphone.rate_hz, channels=1)
    return Source("microphone", audio, partial(microphone.blocks, waiting), finish=waiting.stop)


def _decoded(media: Path | ByteReader, label: str, *, separate_channels: bool, paced: bool) -> Source:
    channels = 2 if separate_channels else 1
    audio = AudioFormat(
        encoding="linear16",
        sample_rate=SAMPLE_RATE_HZ,
        channels=channels,
        channel_mode="separate" if separate_channels else "mix",
    )
    chunk_bytes = int(_bytes_per_s(audio) * (_PACED_CHUNK_S if paced else _UNPACED_CHUNK_S))
    return Source(label, audio, partial(pump, partial(decode, media, channels=channels, chunk_bytes=chunk_bytes)))


def _bytes_per_s(audio: AudioFormat) -> int:
    return _SAMPLE_BYTES[audio.encoding] * audio.channels * audio.sample_rate
