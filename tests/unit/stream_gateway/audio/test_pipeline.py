import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.contract.client_protocol import AudioFormat
from bus.contract.errors import UnsupportedAudio
from stream_gateway.audio.pipeline import open_audio
from stream_gateway.audio.tracks import Tracks
from tests.unit.stream_gateway.audio.feeding import feed_all
from tests.unit.stream_gateway.audio.files import KINDS, build, speechlike

SAMPLE_BYTES = {"linear16": 2, "float32": 4, "mulaw": 1, "alaw": 1}


def decode(audio: AudioFormat, data: bytes, sizes: list[int]) -> Tracks:
    return asyncio.run(feed_all(open_audio(audio), data, sizes))


@given(
    st.sampled_from(sorted(SAMPLE_BYTES)),
    st.sampled_from([8_000, 16_000, 44_100, 48_000]),
    st.sampled_from([(1, "mix"), (2, "mix"), (2, "separate")]),
    st.lists(st.integers(1, 3_000), min_size=1, max_size=8),
    st.integers(0, 20_000),
)
@settings(max_examples=60, deadline=None)
def test_chunking_changes_no_sample_in_any_encoding(
    encoding: str, rate_hz: int, layout: tuple[int, str], sizes: list[int], length: int
) -> None:
    channels, mode = layout
    data = np.random.default_rng(length).bytes(length)
    audio = AudioFormat(encoding=encoding, sample_rate=rate_hz, channels=channels, channel_mode=mode)  # type: ignore[arg-type]
    chunked, whole = decode(audio, data, sizes), decode(audio, data, [max(1, length)])
    assert len(whole) == (2 if mode == "separate" else 1)
    for ours, theirs in zip(chunked, whole, strict=True):
        assert np.array_equal(ours, theirs)
    frames = length // (SAMPLE_BYTES[encoding] * channels)
    assert len(whole[0]) == int(frames * 16_000 / rate_hz + 0.5)


def test_16_khz_linear16_passes_unchanged() -> None:
    samples = np.arange(-30_000, 30_000, 7, dtype="<i2")
    (track,) = decode(AudioFormat(), samples.tobytes(), [333])
    assert np.array_equal(track, samples)


def test_each_encoding_of_one_sound_sounds_alike() -> None:
    sound = speechlike(0.5, 16_000)[0]
    as_float = AudioFormat(encoding="float32")
    as_linear = AudioFormat(encoding="linear16")
    (from_float,) = decode(as_float, sound.astype("<f4").tobytes(), [999])
    (from_linear,) = decode(as_linear, np.rint(sound * 32768).astype("<i2").tobytes(), [999])
    assert np.max(np.abs(from_float.astype(int) - from_linear)) <= 1


def test_separate_channels_are_not_mixed_up_by_odd_chunks() -> None:
    stereo = np.stack([np.full(1_000, 1_000), np.full(1_000, -2_000)], axis=1).astype("<i2")
    left, right = decode(AudioFormat(channels=2, channel_mode="separate"), stereo.tobytes(), [3])
    assert set(left.tolist()) == {1_000}
    assert set(right.tolist()) == {-2_000}


async def test_a_long_block_gives_what_short_ones_give_off_the_loop() -> None:
    data = np.random.default_rng(3).integers(-9_000, 9_000, 48_000 * 3).astype("<i2").tobytes()
    audio = AudioFormat(sample_rate=48_000)
    (in_one,) = await feed_all(open_audio(audio), data, [len(data)])
    (in_many,) = await feed_all(open_audio(audio), data, [960])
    assert np.array_equal(in_one, in_many)


async def test_a_last_frame_that_is_cut_is_dropped_without_a_fault() -> None:
    decoder = open_audio(AudioFormat(channels=2))
    assert [len(track) for track in await feed_all(decoder, bytes(4 * 100 + 3), [7])] == [100]
    assert decoder.fault is None


@pytest.mark.parametrize(
    ("audio", "tracks", "offset_rate_hz"),
    [
        (AudioFormat(sample_rate=8_000), 1, 8_000),
        (AudioFormat(sample_rate=44_100, channels=2), 1, 44_100),
        (AudioFormat(sample_rate=48_000, channels=2, channel_mode="separate"), 2, 48_000),
        (AudioFormat(channels=1, channel_mode="separate"), 1, 16_000),
        (AudioFormat(encoding="container", sample_rate=48_000), 1, 16_000),
        (AudioFormat(encoding="container", channels=2, channel_mode="separate"), 2, 16_000),
    ],
)
def test_a_decoder_tells_its_tracks_and_in_which_rate_offsets_count(
    audio: AudioFormat, tracks: int, offset_rate_hz: int
) -> None:
    decoder = open_audio(audio)
    assert (decoder.tracks, decoder.offset_rate_hz) == (tracks, offset_rate_hz)
    decoder.close()


def test_what_cannot_be_decoded_is_refused_on_opening() -> None:
    with pytest.raises(UnsupportedAudio):
        open_audio(AudioFormat(encoding="opus"))


async def test_a_container_is_opened_by_what_it_is() -> None:
    data = build(KINDS["ogg-opus"], speechlike(1.0, 48_000), 48_000)
    (track,) = await feed_all(open_audio(AudioFormat(encoding="container")), data, [100])
    assert len(track) == 16_000
