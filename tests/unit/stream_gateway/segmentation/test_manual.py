from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from stream_gateway.segmentation.manual import ManualSegmenter
from stream_gateway.segmentation.segmenter import (
    FRAME_SAMPLES,
    SegmenterOptions,
    SegmentEvent,
    UtteranceEnded,
    UtteranceStarted,
)

OPTIONS = SegmenterOptions(max_utterance_s=125 * FRAME_SAMPLES / 16_000, cut_search_s=50 * FRAME_SAMPLES / 16_000)


def ended(start: int, end: int, reason: str) -> UtteranceEnded:
    return UtteranceEnded(start, end, end, reason)  # type: ignore[arg-type]


def test_everything_is_speech_from_the_first_sample() -> None:
    segmenter = ManualSegmenter()
    assert segmenter.quiet_before == 0
    assert segmenter.on_scores([0.0]) == [UtteranceStarted(0, 0)]
    assert segmenter.on_scores([0.0] * 100) == []
    assert segmenter.quiet_before == 0
    assert not segmenter.is_quiet


def test_a_commit_ends_the_utterance_where_the_audio_ends_and_the_next_begins_there() -> None:
    segmenter = ManualSegmenter()
    segmenter.on_scores([0.1] * 10)
    assert segmenter.commit(10 * FRAME_SAMPLES + 100) == [ended(0, 10 * FRAME_SAMPLES + 100, "commit")]
    assert segmenter.quiet_before == 10 * FRAME_SAMPLES + 100
    start = 10 * FRAME_SAMPLES + 100
    assert segmenter.on_scores([0.1]) == [UtteranceStarted(start, start)]


def test_a_commit_without_audio_ends_nothing() -> None:
    segmenter = ManualSegmenter()
    assert segmenter.commit(0) == []
    segmenter.on_scores([0.1] * 3)
    segmenter.commit(3 * FRAME_SAMPLES)
    assert segmenter.commit(3 * FRAME_SAMPLES) == []
    assert segmenter.flush(3 * FRAME_SAMPLES) == []


def test_less_than_a_frame_is_an_utterance_too() -> None:
    assert ManualSegmenter().commit(200) == [UtteranceStarted(0, 0), ended(0, 200, "commit")]


def test_the_end_of_audio_ends_the_last_utterance() -> None:
    segmenter = ManualSegmenter()
    segmenter.on_scores([0.1] * 3)
    assert segmenter.flush() == [ended(0, 3 * FRAME_SAMPLES, "flush")]
    assert ManualSegmenter().flush() == []


def test_what_gets_too_long_is_cut_at_its_quietest_place() -> None:
    levels = [0.2] * 90 + [0.01] * 5 + [0.2] * 30
    events = ManualSegmenter(OPTIONS).on_scores(levels)
    cut = 92 * FRAME_SAMPLES + FRAME_SAMPLES // 2
    assert events == [UtteranceStarted(0, 0), ended(0, cut, "max_length"), UtteranceStarted(cut, cut)]


def test_of_equally_loud_places_the_latest_is_cut() -> None:
    events = ManualSegmenter(OPTIONS).on_scores([0.2] * 125)
    assert events[1] == ended(0, 122 * FRAME_SAMPLES + FRAME_SAMPLES // 2, "max_length")


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=600), st.lists(st.integers(0, 600), max_size=5))
def test_utterances_follow_one_another_without_a_gap_and_none_is_too_long(
    levels: Sequence[float], commits: Sequence[int]
) -> None:
    segmenter = ManualSegmenter(OPTIONS)
    events: list[SegmentEvent] = []
    for frame, level in enumerate(levels):
        events += segmenter.on_scores([level])
        if frame in commits:
            events += segmenter.commit((frame + 1) * FRAME_SAMPLES + frame % FRAME_SAMPLES)
    events += segmenter.flush(len(levels) * FRAME_SAMPLES + FRAME_SAMPLES - 1)
    ends = [one for one in events if isinstance(one, UtteranceEnded)]
    assert len(ends) == sum(isinstance(one, UtteranceStarted) for one in events)
    assert [one.start_sample for one in ends[:1]] == [0] * len(ends[:1])
    assert all(one.end_sample == other.start_sample for one, other in pairwise(ends))
    assert all(0 < one.end_sample - one.start_sample <= 125 * FRAME_SAMPLES + FRAME_SAMPLES for one in ends)
    assert ends[-1].end_sample == len(levels) * FRAME_SAMPLES + FRAME_SAMPLES - 1
