import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_gateway.audio.formats import Frames
from stream_gateway.audio.resample import Resampler

COMMON_RATES_HZ = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000]
rates_hz = st.one_of(st.sampled_from(COMMON_RATES_HZ), st.integers(8_000, 48_000))


def noise(length: int, channels: int) -> Frames:
    return np.random.default_rng(length).uniform(-0.5, 0.5, (length, channels)).astype(np.float32)


def resample(frames: Frames, rate_hz: int, cuts: list[int]) -> Frames:
    resampler = Resampler(rate_hz, frames.shape[1])
    parts = [resampler.feed(part) for part in np.split(frames, sorted(min(cut, len(frames)) for cut in cuts))]
    return np.concatenate([*parts, resampler.finish()])


@given(rates_hz, st.integers(0, 12_000), st.sampled_from([1, 2]), st.lists(st.integers(0, 12_000), max_size=20))
@settings(max_examples=60, deadline=None)
def test_chunking_changes_neither_a_sample_nor_the_length(
    rate_hz: int, length: int, channels: int, cuts: list[int]
) -> None:
    frames = noise(length, channels)
    whole = resample(frames, rate_hz, [])
    assert np.array_equal(resample(frames, rate_hz, cuts), whole)
    assert len(whole) == math.floor(length * 16_000 / rate_hz + 0.5)


@pytest.mark.parametrize("rate_hz", COMMON_RATES_HZ)
def test_a_tone_keeps_its_pitch_its_level_and_its_place(rate_hz: int) -> None:
    def tone(rate: int) -> Frames:
        return (0.5 * np.sin(2 * np.pi * 1_000 * np.arange(rate) / rate)).astype(np.float32)[:, np.newaxis]

    resampled = resample(tone(rate_hz), rate_hz, [777])
    assert np.allclose(resampled[1_000:-1_000], tone(16_000)[1_000:-1_000], atol=2e-3)


@pytest.mark.parametrize("rate_hz", COMMON_RATES_HZ)
def test_the_output_trails_the_input_by_no_more_than_is_promised(rate_hz: int) -> None:
    resampler, step, ready = Resampler(rate_hz, 1), rate_hz // 50, 0
    for turn in range(1, 101):
        ready += len(resampler.feed(noise(step, 1)))
        assert ready / 16_000 >= turn * step / rate_hz - 0.125


def test_channels_stay_apart() -> None:
    frames = noise(4_800, 2)
    both = resample(frames, 48_000, [])
    for channel in range(2):
        alone = resample(np.ascontiguousarray(frames[:, channel : channel + 1]), 48_000, [])
        assert np.allclose(both[:, channel], alone[:, 0], atol=1e-6)
