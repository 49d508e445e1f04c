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
from stream_gateway.segmentation.scorer import FrameScorer, ScoringTrack
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
        self._audio, self._vad = audio, vad
        self._decoder = open_audio(audio)
        self._buffers = [AudioBuffer(outset.clock_sample) for _ in range(self._decoder.tracks)]
        self._scorer = scorer
        self._scoring = self._open_scoring()
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

    async def change_format(self, audio: AudioFormat) -> None:
        """From here on audio comes as `audio` has it, in as many channels as before. Raise UnsupportedAudio."""
        if audio == self._audio:
            return
        decoder = open_audio(audio)
        assert decoder.tracks == len(self._buffers), "the number of channels stays"
        await self._take(await self._decoder.finish())
        self._decoder.close()
        self._audio, self._decoder = audio, decoder

    async def change_detection(self, *, vad: bool) -> None:
        """The machine finds turns in another way: score what it wants to hear, some of it perhaps again."""
        if vad is self._vad:
            return
        self._vad = vad
        for track in self._scoring:
            track.close()
        self._scoring = self._open_scoring()
        for channel, buffer in enumerate(self._buffers):
            end_sample = buffer.end_sample
            for start in range(self._machine.scored_sample(channel), end_sample, _BLOCK_SAMPLES):
                block = buffer.slice_bytes(start, min(start + _BLOCK_SAMPLES, end_sample))
                await self._score(channel, np.frombuffer(block, dtype="<i2"))

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

    async def _score(self, channel: int, samples: NDArray[np.int16]) -> None:
        scores = await self._scoring[channel].score(samples)
        self._apply(self._machine.on_scores(channel, scores, self._now()))

    def _open_scoring(self) -> list[ScoringTrack | LevelTrack]:
        return [self._scorer.open_track() if self._vad else LevelTrack() for _ in self._buffers]

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
                await self._score(channel, block)
            self._metrics.on_received(len(blocks[0]) / SAMPLE_RATE_HZ, self._now() - received_at)
