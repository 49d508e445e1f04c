"""From the bytes a client sends to 16 kHz tracks, for every accepted format."""

import asyncio
from typing import Protocol

from bus.contract.client_protocol import AudioFormat
from bus.contract.errors import HarkenError
from stream_gateway.audio.container import ContainerDecoder
from stream_gateway.audio.formats import RawReader, check_audio
from stream_gateway.audio.resample import OUTPUT_RATE_HZ
from stream_gateway.audio.tracks import TrackConverter, Tracks, split

_OFF_LOOP_S = 1.0
"""Resampling costs 0.3 ms per second of audio; longer blocks than this leave the event loop alone."""


class AudioDecoder(Protocol):
    """One client's audio stream. One call at a time; after a cancelled call only `close`."""

    tracks: int
    """1, or 2 for separate channels."""
    offset_rate_hz: int
    """Rate in which the client counts offsets: its own, or 16 kHz in a container."""
    pending: bool
    """More audio is decoded than the last call returned: repeat it, `feed(b"")` or `finish()`, until this is False.

    One call returns at most about 30 s from a container, however far a small file expands.
    """
    fault: HarkenError | None
    """Set by `finish`: the file ended in the middle or was damaged, and what it gave up is all there was."""

    async def feed(self, data: bytes) -> Tracks:
        """Decode the next bytes, in any chunking. Raises BadContainer, after all decodable audio was returned."""

    async def finish(self) -> Tracks:
        """The rest of the audio; nothing is fed after it. Raises BadContainer if there never was any audio."""

    def close(self) -> None:
        """Free everything at once. Idempotent, never blocks."""


def open_audio(audio: AudioFormat) -> AudioDecoder:
    """A decoder for `audio`. Raises UnsupportedAudio that names what is accepted."""
    check_audio(audio)
    return ContainerDecoder(audio) if audio.encoding == "container" else RawDecoder(audio)


class RawDecoder:
    """Raw samples. A last frame that is cut is dropped."""

    def __init__(self, audio: AudioFormat) -> None:
        is_separate = audio.channels == 2 and audio.channel_mode == "separate"
        self._reader = RawReader(audio.encoding, audio.channels)
        self._converter = TrackConverter(audio.sample_rate, audio.channels, separate=is_separate)
        self._is_as_is = (
            audio.encoding == "linear16"
            and audio.sample_rate == OUTPUT_RATE_HZ
            and (audio.channels == 1 or is_separate)
        )
        self.tracks = 2 if is_separate else 1
        self.offset_rate_hz = audio.sample_rate
        self.pending = False
        self.fault: HarkenError | None = None

    async def feed(self, data: bytes) -> Tracks:
        """See AudioDecoder."""
        if len(data) > _OFF_LOOP_S * self.offset_rate_hz * self._reader.frame_bytes:
            return await asyncio.to_thread(self._convert, data)
        return self._convert(data)

    async def finish(self) -> Tracks:
        """See AudioDecoder."""
        return self._converter.finish()

    def _convert(self, data: bytes) -> Tracks:
        if self._is_as_is:  # most clients: the way through floats costs more than all else that is done to a chunk
            return split(self._reader.feed_as_is(data))
        return self._converter.feed(self._reader.feed(data))

    def close(self) -> None:
        """See AudioDecoder."""
