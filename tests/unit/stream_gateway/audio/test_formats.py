import io
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from bus.contract.client_protocol import AudioFormat
from bus.contract.errors import UnsupportedAudio
from stream_gateway.audio.formats import RawReader, check_audio, mix, to_int16


@pytest.mark.parametrize("encoding", ["linear16", "float32", "mulaw", "alaw"])
@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_raw_encoding_is_accepted_from_8_to_48_khz(encoding: str, rate_hz: int, channels: int) -> None:
    check_audio(AudioFormat(encoding=encoding, sample_rate=rate_hz, channels=channels))


def test_a_container_may_be_announced_with_any_sample_rate() -> None:
    check_audio(AudioFormat(encoding="container", sample_rate=0))


@pytest.mark.parametrize(
    ("audio", "accepted"),
    [
        (AudioFormat(encoding="linear24"), "linear16, float32, mulaw, alaw, container"),
        (AudioFormat(sample_rate=7_999), "from 8000 to 48000 Hz"),
        (AudioFormat(sample_rate=48_001), "from 8000 to 48000 Hz"),
        (AudioFormat(channels=0), "from 1 to 2"),
        (AudioFormat(channels=3), "from 1 to 2"),
        (AudioFormat(encoding="container", channels=3), "from 1 to 2"),
    ],
)
def test_what_is_refused_is_answered_with_what_is_accepted(audio: AudioFormat, accepted: str) -> None:
    with pytest.raises(UnsupportedAudio, match=accepted):
        check_audio(audio)


def test_linear16_survives_the_way_to_float_and_back() -> None:
    every = np.arange(-32768, 32768, dtype="<i2")
    assert np.array_equal(to_int16(RawReader("linear16", 1).feed(every.tobytes()))[:, 0], every)


@pytest.mark.parametrize(("encoding", "subtype"), [("mulaw", "ULAW"), ("alaw", "ALAW")])
def test_g711_decodes_as_another_decoder_does(encoding: str, subtype: str) -> None:
    codes = bytes(range(256))
    expected, _ = soundfile.read(
        io.BytesIO(codes), format="RAW", subtype=subtype, samplerate=8_000, channels=1, dtype="int16"
    )
    assert np.array_equal(to_int16(RawReader(encoding, 1).feed(codes))[:, 0], expected)


def test_float32_that_is_no_number_is_silence_and_beyond_full_scale_is_clipped() -> None:
    values = np.array([0.5, np.nan, np.inf, -np.inf, 7.0, -7.0, 3e38, 1e-42], dtype="<f4")
    frames = RawReader("float32", 1).feed(values.tobytes())
    assert frames[:, 0] == pytest.approx([0.5, 0, 1, -1, 1, -1, 1, 0])
    assert to_int16(frames)[:, 0].tolist() == [16384, 0, 32767, -32768, 32767, -32768, 32767, 0]


def test_two_channels_are_interleaved_and_mixed_by_their_mean() -> None:
    frames = RawReader("linear16", 2).feed(np.array([100, 300, -32768, 32767], dtype="<i2").tobytes())
    assert to_int16(frames).tolist() == [[100, 300], [-32768, 32767]]
    assert to_int16(mix(frames)).tolist() == [[200], [0]]


@given(
    st.sampled_from(["linear16", "float32", "mulaw", "alaw"]),
    st.sampled_from([1, 2]),
    st.binary(max_size=200),
    st.lists(st.integers(0, 200), max_size=20),
)
def test_frames_cut_by_chunks_are_put_together_again(
    encoding: str, channels: int, data: bytes, cuts: list[int]
) -> None:
    reader = RawReader(encoding, channels)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [reader.feed(data[begin:end]) for begin, end in pairwise(edges)]
    whole = RawReader(encoding, channels).feed(data)
    assert np.array_equal(np.concatenate(parts), whole)
    assert len(whole) == len(data) // reader.frame_bytes
