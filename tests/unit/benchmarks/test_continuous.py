import numpy as np
import pytest

from benchmarks.continuous import Samples, spaced, utterances, without_pauses
from benchmarks.recordings import SAMPLE_RATE_HZ
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES


def tone(length_s: float) -> Samples:
    return np.full(round(length_s * SAMPLE_RATE_HZ), 8_000, dtype=np.int16)


def hush(length_s: float) -> Samples:
    return np.full(round(length_s * SAMPLE_RATE_HZ), 20, dtype=np.int16)


def seconds(samples: Samples) -> float:
    return len(samples) / SAMPLE_RATE_HZ


def frames(scores: list[float]) -> Samples:
    """Each frame of audio holds its number."""
    return np.repeat(np.arange(len(scores), dtype=np.int16), FRAME_SAMPLES)


def kept(scores: list[float]) -> list[int]:
    samples = without_pauses(frames(scores), scores)
    return [int(number) for number in samples[::FRAME_SAMPLES]]


def test_a_pause_becomes_as_short_as_between_words() -> None:
    assert kept([0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.6]) == [0, 1, 2, 3, 6]
    assert kept([0.9, 0.9, 0.1, 0.1, 0.6]) == [0, 1, 2, 3, 4]


def test_silence_at_either_end_goes() -> None:
    assert kept([0.1, 0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.1]) == [3, 4]
    assert kept([0.1, 0.9, 0.1]) == [1]


def test_where_nobody_speaks_nothing_stays() -> None:
    assert kept([0.1, 0.2, 0.1]) == []
    assert len(without_pauses(frames([]), [])) == 0


def test_speech_is_cut_where_it_is_quiet() -> None:
    speech = np.concatenate([tone(4.8), hush(0.05), tone(5.4), hush(0.05), tone(5.0)])
    first, second = utterances(speech, 5.0, 2)
    assert 4.8 <= seconds(first) <= 4.85
    assert seconds(second) == pytest.approx(5.45, abs=0.05)


def test_pieces_follow_one_another_without_loss() -> None:
    speech = np.arange(20 * SAMPLE_RATE_HZ, dtype=np.int64).astype(np.int16)
    pieces = utterances(speech, 3.0, 6)
    joined = np.concatenate(pieces)
    assert np.array_equal(joined, speech[: len(joined)])


def test_too_little_speech_is_told() -> None:
    with pytest.raises(ValueError, match="10 s of speech are too few for 3 times 5 s"):
        utterances(tone(10.0), 5.0, 3)


def test_pieces_are_spaced_by_silence() -> None:
    audio = spaced([tone(1.0), tone(2.0)], 0.5)
    assert seconds(audio) == pytest.approx(4.5)
    assert not audio[: SAMPLE_RATE_HZ // 2].any()
