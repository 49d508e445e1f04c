"""Audio on its way in, where its format or what looks for speech in it changes."""

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from bus.contract.client_protocol import AudioFormat
from bus.contract.errors import UnsupportedAudio
from stream_gateway.intake import AudioIntake
from stream_gateway.metrics import GatewayMetrics
from stream_gateway.segmentation.levels import LevelTrack
from stream_gateway.session.config import SessionLimits
from stream_gateway.session.outset import BEGINNING
from stream_gateway.session.session import Session
from tests.unit.stream_gateway.session.builders import a_config

FRAME = 512
LINEAR = AudioFormat(encoding="linear16", sample_rate=16_000)


class Room:
    """An intake with its session; what is looked for speech in are levels, and every frame is kept."""

    def __init__(self) -> None:
        self.scored_anew: list[int] = []
        """Samples in each block that a track of the scorer was given."""
        machine = Session(limits=SessionLimits(), now=0.0)
        machine.on_start(a_config(vad=False), 0.0)
        self.machine = machine
        self.intake = AudioIntake(
            LINEAR,
            vad=False,
            outset=BEGINNING,
            scorer=_Scorer(self.scored_anew),  # type: ignore[arg-type]
            metrics=GatewayMetrics(CollectorRegistry()),
            machine=machine,
            apply=lambda effects: None,
            wait_for_room=_no_wait,
            now=lambda: 0.0,
        )


class _Scorer:
    def __init__(self, scored: list[int]) -> None:
        self._scored = scored

    def open_track(self) -> LevelTrack:
        return _Track(self._scored)


class _Track(LevelTrack):
    def __init__(self, scored: list[int]) -> None:
        super().__init__()
        self._scored = scored

    async def score(self, samples: NDArray[np.int16]) -> list[float]:
        self._scored.append(len(samples))
        return await super().score(samples)


async def _no_wait() -> None:
    pass


def ramp(samples: int, start: int = 0) -> NDArray[np.int16]:
    return np.arange(start, start + samples, dtype=np.int16)


async def test_no_sample_is_left_out_where_turns_are_found_in_another_way() -> None:
    room, fed = Room(), 0
    for vad, samples in ((False, 3 * FRAME + 100), (True, 500), (False, FRAME), (True, 0), (False, 2 * FRAME - 89)):
        room.machine.on_audio_configure(a_config(vad=vad), 0.0)
        await room.intake.change_detection(vad=vad)
        await room.intake.feed(ramp(samples).tobytes())
        fed += samples
        assert room.machine.scored_sample(0) == fed - fed % FRAME
    assert len(room.intake.slice_bytes(0, 0, fed)) == 2 * fed


async def test_what_nobody_ended_is_scored_again_by_the_second_where_turns_are_found_in_another_way() -> None:
    room = Room()
    for _ in range(3):
        await room.intake.feed(ramp(16_000).tobytes())
    room.machine.on_audio_configure(a_config(vad=True), 0.0)
    assert room.machine.scored_sample(0) == 0
    await room.intake.change_detection(vad=True)
    assert room.scored_anew == [16_000, 16_000, 16_000]
    assert room.machine.scored_sample(0) == 48_000 - 48_000 % FRAME


async def test_audio_goes_on_in_another_format_where_that_of_before_ended() -> None:
    room = Room()
    await room.intake.feed(ramp(1_600).tobytes())
    await room.intake.change_format(AudioFormat(encoding="mulaw", sample_rate=8_000))
    await room.intake.feed(b"\xff" * 800)
    await room.intake.change_format(LINEAR)
    await room.intake.feed(ramp(1_600, 100).tobytes())
    audio = np.frombuffer(room.intake.slice_bytes(0, 0, 4_800), dtype="<i2")
    assert np.array_equal(audio[:1_600], ramp(1_600))
    assert not audio[1_600:3_200].any()
    assert np.array_equal(audio[3_200:], ramp(1_600, 100))


async def test_a_format_that_cannot_be_changes_nothing() -> None:
    room = Room()
    with pytest.raises(UnsupportedAudio):
        await room.intake.change_format(AudioFormat(encoding="linear16", sample_rate=100))
    await room.intake.feed(ramp(FRAME).tobytes())
    assert room.machine.scored_sample(0) == FRAME
