"""Audio of one socket on its way in: frames to samples, samples to speech scores, both to the session machine."""

from collections.abc import Awaitable, Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bus.contract.client_protocol import AudioFormat
from bus.contract.errors import HarkenError
from bus.contract.work import SAMPLE_RATE_HZ
from stream_gateway.audio.pipeline import open_audio
from stream_gateway.audio.ring import AudioBuffer
from stream_gateway.metrics import GatewayMetrics
from stream_gateway.segmentation.levels import LevelTrack
from stream_gateway.segmentation.scorer import FrameScorer
from stream_gateway.session.effects import Effect
from stream_gateway.session.outset import Outset
from stream_gateway.session.session import Session

_BLOCK_SAMPLES = SAMPLE_RATE_HZ
"""Audio is taken in by the second, so that back-pressure is felt within a frame that expands to minutes."""


class AudioIntake:
    """One session's audio. One of `feed` and `finish` at a time; `close` frees everything."""

    def __init__(
        self,
        audio: AudioFormat,
        *,
        vad: bool,
        outset: Outset,
        scorer: FrameScorer,
        metrics: GatewayMetrics,
        machine: Session,
        apply: Callable[[Sequence[Effect]], None],
        wait_for_room: Callable[[], Awaitable[object]],
        now: Callable[[], float],
    ) -> None:
        """Raise UnsupportedAudio that names what is accepted. Without `vad` everything is speech.

        The first sample that is fed is number `outset.begin_sample`.
        """
        self._decoder = open_audio(audio)
        self._buffers = [AudioBuffer(outset.clock_sample) for _ in range(self._decoder.tracks)]
        self._scoring = [scorer.open_track() if vad else LevelTrack() for _ in range(self._decoder.tracks)]
        self._lead_in_samples = outset.begin_sample - outset.clock_sample
        self._metrics = metrics
        self._machine = machine
        self._apply = apply
        self._wait_for_room = wait_for_room
        self._now = now

    @property
    def offset_rate_hz(self) -> int:
        """Rate in which the client counts its samples."""
        return self._decoder.offset_rate_hz

    async def feed(self, frame: bytes) -> None:
        """Take one binary frame. What is wrong with the audio ends it, and the session once its finals are out."""
        self._machine.on_bytes(self._now())
        try:
            await self._take(await self._decoder.feed(frame))
            while self._decoder.pending and self._machine.accepts_audio:
                await self._take(await self._decoder.feed(b""))
        except HarkenError as error:
            self._apply(self._machine.on_audio_end(self._now(), error))

    async def finish(self) -> HarkenError | None:
        """No frame follows: take what the decoder still holds, and tell what was wrong with the audio."""
        try:
            await self._take(await self._decoder.finish())
            while self._decoder.pending and self._machine.accepts_audio:
                await self._take(await self._decoder.finish())
        except HarkenError as error:
            return error
        return self._decoder.fault

    def slice_bytes(self, channel: int, start_sample: int, end_sample: int) -> bytes:
        """16-bit little-endian samples that were not released yet."""
        return self._buffers[channel].slice_bytes(start_sample, end_sample)

    def release(self, channel: int, before_sample: int) -> None:
        """Forget audio."""
        self._buffers[channel].release(before_sample)

    def close(self) -> None:
        """Free everything. Idempotent."""
        self._decoder.close()
        for track in self._scoring:
            track.close()

    async def _take(self, tracks: Sequence[NDArray[np.int16]]) -> None:
        if self._lead_in_samples and len(tracks[0]):
            silence = np.zeros(self._lead_in_samples, dtype=np.int16)
            tracks = [np.concatenate([silence, track]) for track in tracks]
            self._lead_in_samples = 0
        for offset in range(0, len(tracks[0]), _BLOCK_SAMPLES):
            await self._wait_for_room()
            if not self._machine.accepts_audio:
                return  # it ended meanwhile: nothing would ever release what is kept now
            received_at = self._now()
            blocks = [track[offset : offset + _BLOCK_SAMPLES] for track in tracks]
            for buffer, block in zip(self._buffers, blocks, strict=True):
                buffer.append(block)
            self._machine.on_audio(self._buffers[0].end_sample, received_at)
            for channel, block in enumerate(blocks):
                scores = await self._scoring[channel].score(block)
                self._apply(self._machine.on_scores(channel, scores, self._now()))
            self._metrics.on_received(len(blocks[0]) / SAMPLE_RATE_HZ, self._now() - received_at)
