"""A container as a blocking iterator of frames. The only module that imports PyAV."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer

from bus.contract.errors import BadContainer
from stream_gateway.audio.formats import Frames
from stream_gateway.audio.sniffing import ACCEPTED, Demuxer

_OPTIONS = {"analyzeduration": "100000", "probesize": "16384"}
"""Microseconds and bytes looked at before the first frame is given out. FFmpeg's own 5 s would delay a live stream."""
_BUFFER_BYTES = 4_096
_CODECS = ("pcm_", "adpcm_", "flac", "mp3", "vorbis", "opus", "aac", "alac")
"""Beginnings of the decoders' names that are let at a stranger's bytes, out of FFmpeg's hundreds."""
_MAX_DAMAGED_PACKETS = 50
_LENGTH_TOLERANCE_S = 0.5


class ByteSource(Protocol):
    """What a container is read from. One that also has `seek` and `tell` may be read in any order."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; b"" at the end."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive frames of one rate."""

    frames: Frames
    rate_hz: int


def read_blocks(source: ByteSource, demuxer: Demuxer) -> Iterator[Block]:
    """Decode the first audio stream; all else (video, covers, further audio) is skipped. Blocking.

    Raises BadContainer, after everything decodable was yielded, if the bytes are no such container, hold no audio of
    an accepted codec, are damaged, or end before the length that the container announces.
    """
    try:
        # Tags are of no interest, and in old files no UTF-8: they must not fail the recording.
        with av.open(
            source, "r", format=demuxer, options=_OPTIONS, buffer_size=_BUFFER_BYTES, metadata_errors="replace"
        ) as container:
            stream = _audio_stream(container)
            announced_s = _announced_s(container, stream)
            decoded_s = 0.0
            for block in _decode(container, stream):
                decoded_s += len(block.frames) / block.rate_hz
                yield block
    except av.error.FFmpegError:
        # The text of FFmpeg's error adds nothing for the client and may quote the file's own metadata.
        raise BadContainer(f"the audio file is damaged, or is not one of {ACCEPTED}") from None
    if decoded_s < announced_s - _LENGTH_TOLERANCE_S:
        raise BadContainer(f"the audio file ends after {decoded_s:.1f} s of the {announced_s:.1f} s that it announces")


def _audio_stream(container: InputContainer) -> AudioStream:
    if not container.streams.audio:
        raise BadContainer("the file holds no audio")
    stream = container.streams.audio[0]
    codec = stream.codec_context  # None for a codec that FFmpeg itself does not know, whatever PyAV declares
    if codec is None or not codec.name.startswith(_CODECS):
        raise BadContainer(f"the file's audio codec is not accepted; accepted are {ACCEPTED}")
    stream.codec_context.thread_count = 1
    return stream


def _announced_s(container: InputContainer, stream: AudioStream) -> float:
    """Length of the audio as the container tells it; 0 if it does not."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / av.time_base
    return 0.0


def _decode(container: InputContainer, stream: AudioStream) -> Iterator[Block]:
    damaged = 0
    for packet in container.demux(stream):
        try:
            decoded = packet.decode()
        except av.error.InvalidDataError:
            damaged += 1
            if damaged > _MAX_DAMAGED_PACKETS:
                raise
            continue
        for frame in decoded:
            yield Block(_to_frames(frame), frame.sample_rate)
    if damaged:
        raise BadContainer(f"{damaged} packets of the audio file are damaged, or it ends in the middle")


def _to_frames(frame: av.AudioFrame) -> Frames:
    try:
        values = frame.to_ndarray()
    except ValueError:  # 64-bit integers
        raise BadContainer("the file's samples are in a format that is not accepted") from None
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    scaled: Frames
    match values.dtype.kind:
        case "f":
            scaled = np.clip(np.nan_to_num(values.astype(np.float32)), -1, 1)
        case "u":
            scaled = (values.astype(np.float32) - 128) / np.float32(128)
        case _:
            scaled = (values / 2.0 ** (8 * values.dtype.itemsize - 1)).astype(np.float32)
    return np.ascontiguousarray(scaled.T)
