"""Audio files of any common format, decoded while they arrive.

FFmpeg asks for bytes when it wants them, so each container has a thread of its own, which waits most of the time.
`feed` returns when that thread has made of its input all that it can: audio is never a chunk late.
"""

import asyncio
import io
import logging
import threading
from collections.abc import Iterable, Iterator

from bus.contract.client_protocol import AudioFormat
from bus.contract.errors import BadContainer, HarkenError, InternalError
from stream_gateway.audio.demuxing import Block, ByteSource, read_blocks
from stream_gateway.audio.exchange import Closed, Exchange, Settled
from stream_gateway.audio.resample import OUTPUT_RATE_HZ
from stream_gateway.audio.sniffing import ACCEPTED, HEAD_BYTES, Demuxer, IndexSearch, length_check, sniff
from stream_gateway.audio.tracks import TrackConverter, Tracks, join

log = logging.getLogger(__name__)

_MAX_UNSTREAMABLE_BYTES = 32 * 1024 * 1024
"""An MP4 file with its index at the end is kept until it is complete, if it is no larger."""
_OFF_LOOP_BYTES = 64 * 1024
"""Following the chunks of a file costs a microsecond each, and a stranger's may be eight bytes long."""
_MIN_RATE_HZ = 4_000
_MAX_RATE_HZ = 192_000


class ContainerDecoder:
    """One file. See AudioDecoder for the contract."""

    def __init__(self, audio: AudioFormat) -> None:
        self._is_separate = audio.channels == 2 and audio.channel_mode == "separate"
        self._head = bytearray()  # what came before it was clear how to decode it
        self._demuxer: Demuxer | None = None
        self._index = IndexSearch()  # of an MP4 file
        self._exchange: Exchange | None = None
        self._has_audio = False
        self.tracks = 2 if self._is_separate else 1
        self.offset_rate_hz = OUTPUT_RATE_HZ
        self.pending = False
        self.fault: HarkenError | None = None

    async def feed(self, data: bytes) -> Tracks:
        """See AudioDecoder."""
        if data and self.pending:
            raise RuntimeError("audio is pending: take it with feed(b'') before feeding more")
        if self._exchange is not None:
            await self._write(self._exchange, data)
        else:
            self._head += data
            if not self._can_stream():
                return join([], self.tracks)
            self._exchange = self._start(None)
            head = bytes(self._head)
            self._head.clear()
            await self._write(self._exchange, head)
        return await self._take(self._exchange, is_last=False)

    async def finish(self) -> Tracks:
        """See AudioDecoder."""
        if self._exchange is None:
            if not self._head:
                return join([], self.tracks)
            self._demuxer = self._sniffed()
            self._exchange = self._start(io.BytesIO(self._head))
            self._head.clear()
        self._exchange.complete()
        return await self._take(self._exchange, is_last=True)

    def close(self) -> None:
        """See AudioDecoder. The thread ends by itself once the frame in hand is decoded."""
        if self._exchange is not None:
            self._exchange.close()

    def _can_stream(self) -> bool:
        """Whether enough came to begin. Raises BadContainer if it will never be possible."""
        if len(self._head) < HEAD_BYTES:
            return False
        self._demuxer = self._sniffed()
        if self._demuxer != "mov":
            return True
        with memoryview(self._head) as head:  # may be long: not copied
            is_first = self._index.look(head)
        if is_first:
            return True
        if len(self._head) > _MAX_UNSTREAMABLE_BYTES:
            raise BadContainer(
                f"an MP4 file above {_MAX_UNSTREAMABLE_BYTES >> 20} MiB must have its index (moov) in front of its "
                "media; `ffmpeg -i IN -c copy -movflags +faststart OUT` moves it there"
            )
        return False

    def _sniffed(self) -> Demuxer:
        demuxer = sniff(bytes(self._head[:HEAD_BYTES]))
        if demuxer is None:
            raise BadContainer(f"the audio is no file of a kind that is accepted: {ACCEPTED}")
        return demuxer

    def _start(self, source: ByteSource | None) -> Exchange:
        """Start decoding `source`, or what is written from now on."""
        assert self._demuxer is not None
        self._length = length_check(self._demuxer)
        exchange = Exchange(self.tracks, asyncio.get_running_loop())
        arguments = (exchange, source or exchange, self._demuxer, self._is_separate)
        threading.Thread(target=_decode, args=arguments, name="container-decoder", daemon=True).start()
        return exchange

    async def _write(self, exchange: Exchange, data: bytes) -> None:
        if len(data) > _OFF_LOOP_BYTES:
            await asyncio.to_thread(self._length.feed, data)
        else:
            self._length.feed(data)
        exchange.write(data)

    async def _take(self, exchange: Exchange, *, is_last: bool) -> Tracks:
        state = await exchange.settled()
        tracks = exchange.take()
        has_audio = len(tracks[0]) > 0
        self._has_audio |= has_audio
        self.pending = state is Settled.FULL
        error = exchange.error
        if error is None and is_last and self._length.is_cut:
            error = BadContainer("the audio file ends in the middle")
        if state is not Settled.DONE or error is None:
            return tracks
        if is_last and self._has_audio:
            self.fault = error
        elif not has_audio:  # else the next call raises it, and this audio is not lost
            raise error
        return tracks


def _decode(exchange: Exchange, source: ByteSource, demuxer: Demuxer, is_separate: bool) -> None:
    """Body of the thread."""
    error: HarkenError | None = None
    try:
        for tracks in _convert(read_blocks(source, demuxer), is_separate=is_separate):
            exchange.put(tracks)
    except Closed:
        pass  # nobody is left to hear of it
    except HarkenError as fault:
        error = fault
    except Exception:
        log.exception("container decoder failed", extra={"demuxer": demuxer})
        error = InternalError("the audio file could not be decoded")
    exchange.done(error)


def _convert(blocks: Iterable[Block], *, is_separate: bool) -> Iterator[Tracks]:
    """Tracks of all blocks. If `blocks` raises BadContainer, what the resampler still holds comes first."""
    converter: TrackConverter | None = None
    layout = (0, 0)
    fault: BadContainer | None = None
    try:
        for block in blocks:
            if layout != (block.rate_hz, block.frames.shape[1]):  # chained Ogg streams may differ
                layout = (block.rate_hz, block.frames.shape[1])
                _check_layout(*layout, is_separate=is_separate)
                if converter is not None:
                    yield converter.finish()
                converter = TrackConverter(*layout, separate=is_separate)
            assert converter is not None
            yield converter.feed(block.frames)
    except BadContainer as error:
        fault = error
    if converter is not None:
        yield converter.finish()
    if fault is not None:
        raise fault


def _check_layout(rate_hz: int, channels: int, *, is_separate: bool) -> None:
    if not _MIN_RATE_HZ <= rate_hz <= _MAX_RATE_HZ:
        raise BadContainer(f"the file's sample rate must be from {_MIN_RATE_HZ} to {_MAX_RATE_HZ} Hz, not {rate_hz}")
    if is_separate and channels != 2:
        raise BadContainer(f"separate channels need a file of 2 channels; this one has {channels}")
