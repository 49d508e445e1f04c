"""Audio of any format as 16 kHz linear16, decoded as a stream. Blocking."""

import os
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Protocol

import av
import av.error
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer

SAMPLE_RATE_HZ = 16_000
_SAMPLE_BYTES = 2


class MediaError(Exception):
    """A recording that cannot be read; the message says why."""


class ByteReader(Protocol):
    """What PyAV needs of a source that cannot seek."""

    def read(self, size: int = -1, /) -> bytes:
        """Give up to `size` bytes; none at the end."""


class DescriptorReader:
    """Unbuffered reader of a file descriptor, which stays open.

    Unlike `sys.stdin.buffer` it has no lock, so a thread that is stuck in `read` cannot disturb the exit of the
    interpreter.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, size: int = -1, /) -> bytes:
        """Wait for at least one byte; none at the end."""
        return os.read(self._descriptor, size if size > 0 else 65536)


def decode(source: Path | ByteReader, *, channels: int, chunk_bytes: int) -> Generator[bytes, None, None]:
    """Decode the first audio stream to 16 kHz linear16, interleaved if `channels` is 2, in pieces of `chunk_bytes`.

    One channel mixes all that there are; two want exactly two. Damaged packets are skipped if anything else can
    be read. Raises MediaError for what is no recording. Close the generator to close the file.
    """
    try:
        media = str(source) if isinstance(source, Path) else source
        # Old taggers wrote Latin-1 where UTF-8 is due; tags are not looked at anyway.
        with av.open(media, mode="r", metadata_errors="replace") as container:
            yield from _in_chunks(_decode_stream(container, channels), chunk_bytes)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"not a readable recording: {_reason(error)}") from error


def read_raw(source: ByteReader, *, chunk_bytes: int) -> Generator[bytes, None, None]:
    """Give the bytes as they come, at most `chunk_bytes` at a time. Raises MediaError if they cannot be read."""
    try:
        while data := source.read(chunk_bytes):
            yield data
    except OSError as error:
        raise MediaError(f"cannot be read: {_reason(error)}") from error


def _decode_stream(container: InputContainer, channels: int) -> Generator[bytes, None, None]:
    if not container.streams.audio:
        raise MediaError("holds no audio")
    stream = container.streams.audio[0]
    if channels > 1 and stream.channels != channels:
        raise MediaError(f"has {stream.channels} channel(s), separate channels want {channels}")
    resampler = AudioResampler(format="s16", layout="stereo" if channels == 2 else "mono", rate=SAMPLE_RATE_HZ)
    decoded = False
    damage: av.error.InvalidDataError | None = None
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError as error:
            damage = error
            continue
        for frame in frames:
            decoded = True
            yield _resampled(resampler, frame, channels)
    if damage is not None and not decoded:
        raise damage
    if decoded:
        yield _resampled(resampler, None, channels)


def _resampled(resampler: AudioResampler, frame: AudioFrame | None, channels: int) -> bytes:
    """Resample one frame, or with None what the filter still holds."""
    try:
        pieces = resampler.resample(frame)
    except av.error.FFmpegError:
        raise  # some of these are ValueErrors too
    except ValueError as error:
        raise MediaError("changes its sample format in the middle") from error
    # A plane may be padded beyond its samples.
    return b"".join(bytes(piece.planes[0])[: piece.samples * channels * _SAMPLE_BYTES] for piece in pieces)


def _in_chunks(pieces: Iterable[bytes], chunk_bytes: int) -> Generator[bytes, None, None]:
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= chunk_bytes:
            yield bytes(waiting[:chunk_bytes])
            del waiting[:chunk_bytes]
    if waiting:
        yield bytes(waiting)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
