from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_gateway.segmentation.segmenter import (
    FRAME_SAMPLES,
    Segmenter,
    SegmenterOptions,
    SegmentEvent,
    SpeechResumed,
    TentativeEnd,
    UtteranceEnded,
    UtteranceStarted,
)

FRAME_S = FRAME_SAMPLES / 16_000
# All durations are whole frames, so that a test can count in frames.
OPTIONS = SegmenterOptions(
    threshold=0.5,
    release_threshold=0.3,
    start_s=2 * FRAME_S,
    pre_roll_s=3 * FRAME_S,
    tentative_s=4 * FRAME_S,
    endpoint_s=8 * FRAME_S,
    post_roll_s=2 * FRAME_S,
    max_utterance_s=125 * FRAME_S,
    cut_search_s=50 * FRAME_S,
)
SPEECH, BETWEEN, SILENCE = 0.9, 0.4, 0.1


def run(
    scores: Sequence[float], options: SegmenterOptions = OPTIONS, end_sample: int | None = None
) -> list[SegmentEvent]:
    segmenter = Segmenter(options)
    return segmenter.on_scores(scores) + segmenter.flush(end_sample)


def started(start_frame: int, speech_frame: int) -> UtteranceStarted:
    return UtteranceStarted(start_frame * FRAME_SAMPLES, speech_frame * FRAME_SAMPLES)


def tentative(end_frame: int, speech_end_frame: int) -> TentativeEnd:
    return TentativeEnd(end_frame * FRAME_SAMPLES, speech_end_frame * FRAME_SAMPLES)


def ended(start_frame: int, end_frame: int, speech_end_frame: int, reason: str = "silence") -> UtteranceEnded:
    frames = (start_frame * FRAME_SAMPLES, end_frame * FRAME_SAMPLES, speech_end_frame * FRAME_SAMPLES)
    return UtteranceEnded(*frames, reason)  # type: ignore[arg-type]


def test_a_commit_ends_an_open_utterance_and_nothing_else() -> None:
    segmenter = Segmenter(OPTIONS)
    segmenter.on_scores([SILENCE] * 10)
    assert segmenter.commit(10 * FRAME_SAMPLES) == []
    segmenter.on_scores([SPEECH] * 20)
    assert segmenter.commit(30 * FRAME_SAMPLES + 5) == [ended(7, 30, 30, "commit")]
    assert segmenter.commit(30 * FRAME_SAMPLES + 5) == []
    assert segmenter.on_scores([SPEECH] * 2) == [started(30, 30)]


def test_an_utterance_has_its_rolls_and_a_tentative_end_with_the_same_window() -> None:
    scores = [SILENCE] * 10 + [SPEECH] * 20 + [SILENCE] * 8
    assert run(scores) == [started(7, 10), tentative(32, 30), ended(7, 32, 30)]


def test_the_end_is_reported_as_soon_as_the_silence_is_long_enough() -> None:
    segmenter = Segmenter(OPTIONS)
    segmenter.on_scores([SPEECH] * 10 + [SILENCE] * 3)
    assert segmenter.on_scores([SILENCE]) == [tentative(12, 10)]
    assert segmenter.on_scores([SILENCE] * 3) == []
    assert segmenter.on_scores([SILENCE]) == [ended(0, 12, 10)]


def test_speech_after_a_tentative_end_resumes_the_utterance() -> None:
    scores = [SPEECH] * 10 + [SILENCE] * 5 + [SPEECH] * 10 + [SILENCE] * 8
    assert run(scores) == [started(0, 0), tentative(12, 10), SpeechResumed(), tentative(27, 25), ended(0, 27, 25)]


def test_a_short_dip_is_not_mentioned() -> None:
    assert run([SPEECH] * 10 + [SILENCE] * 3 + [SPEECH] * 10 + [SILENCE] * 8) == [
        started(0, 0),
        tentative(25, 23),
        ended(0, 25, 23),
    ]


def test_scores_between_the_thresholds_neither_begin_nor_end_speech_nor_interrupt_silence() -> None:
    assert run([BETWEEN] * 30) == []
    assert run([SPEECH] * 5 + [BETWEEN] * 30 + [SILENCE] * 8) == [started(0, 0), tentative(37, 35), ended(0, 37, 35)]
    assert run([SPEECH] * 5 + [SILENCE] + [BETWEEN] * 7) == [started(0, 0), tentative(7, 5), ended(0, 7, 5)]


def test_a_click_is_no_utterance() -> None:
    assert run([SILENCE, SPEECH, SILENCE, SPEECH, SILENCE]) == []
    assert run([SPEECH]) == []


def test_the_pre_roll_stops_at_the_previous_utterance() -> None:
    scores = [SPEECH] * 10 + [SILENCE] * 8 + [SPEECH] * 10 + [SILENCE] * 8
    options = replace(OPTIONS, pre_roll_s=30 * FRAME_S)
    starts = [event.start_sample for event in run(scores, options) if isinstance(event, UtteranceStarted)]
    assert starts == [0, 12 * FRAME_SAMPLES]


def test_no_tentative_end_is_given_where_the_endpoint_is_no_later() -> None:
    options = replace(OPTIONS, endpoint_s=OPTIONS.tentative_s)
    assert run([SPEECH] * 10 + [SILENCE] * 8, options) == [started(0, 0), ended(0, 12, 10)]


def test_flush_ends_an_utterance_in_speech_with_the_audio_that_is_left() -> None:
    assert run([SPEECH] * 10, end_sample=10 * FRAME_SAMPLES + 300) == [
        started(0, 0),
        UtteranceEnded(0, 10 * FRAME_SAMPLES + 300, 10 * FRAME_SAMPLES + 300, "flush"),
    ]


def test_flush_in_silence_keeps_the_window_of_the_tentative_end() -> None:
    scores = [SPEECH] * 10 + [SILENCE] * 5
    assert run(scores) == [started(0, 0), tentative(12, 10), ended(0, 12, 10, "flush")]
    assert run([SPEECH] * 10 + [SILENCE]) == [started(0, 0), ended(0, 11, 10, "flush")]


def test_flush_does_not_exceed_the_maximum_however_much_is_not_scored() -> None:
    assert run([SPEECH] * 10, end_sample=10_000_000)[-1] == ended(0, 125, 125, "flush")


def test_an_utterance_at_its_maximum_is_cut_in_the_middle_of_its_best_pause_and_goes_on() -> None:
    scores = [SPEECH] * 100 + [SILENCE] * 3 + [SPEECH] * 30 + [SILENCE] * 8
    cut = 101.5
    assert run(scores) == [
        started(0, 0),
        UtteranceEnded(0, int(cut * FRAME_SAMPLES), int(cut * FRAME_SAMPLES), "max_length"),
        UtteranceStarted(int(cut * FRAME_SAMPLES), int(cut * FRAME_SAMPLES)),
        tentative(135, 133),
        UtteranceEnded(int(cut * FRAME_SAMPLES), 135 * FRAME_SAMPLES, 133 * FRAME_SAMPLES, "silence"),
    ]


def test_of_equal_pauses_the_latest_is_cut_and_none_before_the_search_range() -> None:
    pause = [SILENCE] * 3
    scores = [SPEECH] * 20 + pause + [SPEECH] * 62 + pause + [SPEECH] * 15 + pause + [SPEECH] * 30
    cuts = [event.end_sample / FRAME_SAMPLES for event in run(scores) if isinstance(event, UtteranceEnded)]
    assert cuts[0] == 104.5


def test_a_long_breathless_utterance_is_cut_all_the_same() -> None:
    events = run([SPEECH] * 400)
    assert [event.reason for event in events if isinstance(event, UtteranceEnded)] == ["max_length"] * 3 + ["flush"]


def test_the_maximum_in_a_pause_ends_the_utterance_without_opening_another() -> None:
    scores = [SPEECH] * 119 + [SILENCE] * 30
    assert run(scores) == [started(0, 0), tentative(121, 119), ended(0, 121, 119, "max_length")]


def test_the_maximum_at_the_beginning_of_the_best_pause_ends_the_utterance_there() -> None:
    assert run([SPEECH] * 122 + [SILENCE] * 3 + [SPEECH] * 3) == [
        started(0, 0),
        ended(0, 124, 122, "max_length"),
        started(124, 125),
        ended(124, 128, 128, "flush"),
    ]


def test_the_maximum_at_the_beginning_of_a_worse_pause_cuts_at_the_better_one() -> None:
    scores = [SPEECH] * 100 + [SILENCE] * 5 + [SPEECH] * 19 + [SILENCE] + [SPEECH] * 20 + [SILENCE] * 8
    segments = [event for event in run(scores) if isinstance(event, UtteranceEnded)]
    assert [segment.end_sample for segment in segments] == [int(102.5 * FRAME_SAMPLES), 147 * FRAME_SAMPLES]


def test_audio_is_wanted_from_the_earliest_sample_that_an_utterance_can_reach() -> None:
    segmenter = Segmenter(OPTIONS)
    frames = []
    for score in [SILENCE] * 10 + [SPEECH] * 3 + [SILENCE] * 10:
        segmenter.on_scores([score])
        frames.append(segmenter.quiet_before // FRAME_SAMPLES)
    in_silence, candidate, in_utterance = [0, 0, 0, 1, 2, 3, 4, 5, 6, 7], [7], [7] * 9
    assert frames == in_silence + candidate + in_utterance + [18, 19, 20]


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 0.3, "release_threshold": 0.4},
        {"threshold": 1.0},
        {"release_threshold": 0.0},
        {"tentative_s": 0.6},
        {"post_roll_s": 0.3},
        {"start_s": 0.0},
        {"pre_roll_s": 1.5},
        {"max_utterance_s": 3.0, "cut_search_s": 1.0},
        {"cut_search_s": 13.0},
    ],
)
def test_options_that_contradict_one_another_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        replace(SegmenterOptions(), **wrong)


def test_the_release_threshold_follows_the_threshold() -> None:
    assert SegmenterOptions(threshold=0.5).release == pytest.approx(0.35)
    assert SegmenterOptions(threshold=0.1).release == pytest.approx(0.05)
    assert SegmenterOptions(threshold=0.5, release_threshold=0.2).release == 0.2


levels = st.sampled_from([0.0, 0.1, 0.29, 0.3, 0.4, 0.49, 0.5, 0.9, 1.0])
runs = st.lists(st.tuples(levels, st.integers(1, 60)), max_size=12)
many_scores = runs.map(lambda pieces: [level for level, length in pieces for _ in range(length)])
some_options = st.builds(
    lambda pre, start, post, tentative, wait, longest: SegmenterOptions(
        release_threshold=0.3,
        start_s=start,
        pre_roll_s=pre,
        post_roll_s=min(post, tentative),
        tentative_s=tentative,
        endpoint_s=tentative + wait,
        max_utterance_s=longest,
        cut_search_s=0.4 * longest,
    ),
    st.floats(0, 1),
    st.floats(0.01, 0.5),
    st.floats(0, 0.3),
    st.floats(0.05, 0.5),
    st.floats(0, 1),
    st.floats(4, 28),
)


def segments_of(events: Sequence[SegmentEvent]) -> list[tuple[UtteranceStarted, UtteranceEnded]]:
    """Pair starts and ends; fails unless they alternate."""
    marks = [event for event in events if isinstance(event, UtteranceStarted | UtteranceEnded)]
    pairs = []
    for start, end in zip(marks[::2], marks[1::2], strict=True):
        assert isinstance(start, UtteranceStarted)
        assert isinstance(end, UtteranceEnded)
        pairs.append((start, end))
    return pairs


@given(many_scores, some_options)
def test_segments_are_ordered_disjoint_and_no_longer_than_allowed(
    scores: list[float], options: SegmenterOptions
) -> None:
    pairs = segments_of(run(scores, options))
    for start, end in pairs:
        assert start.start_sample == end.start_sample <= start.speech_start_sample < end.end_sample
        assert end.speech_end_sample <= end.end_sample <= len(scores) * FRAME_SAMPLES
        assert end.end_sample - end.start_sample <= round(options.max_utterance_s * 16_000)
    assert all(before[1].end_sample <= after[0].start_sample for before, after in pairwise(pairs))


@given(many_scores)
def test_every_speech_frame_that_is_no_click_is_in_a_segment(scores: list[float]) -> None:
    pairs = segments_of(run(scores))
    for frame, (score, following) in enumerate(pairwise(scores)):
        if score >= 0.5 and following >= 0.5:
            for sample in range(frame * FRAME_SAMPLES, (frame + 1) * FRAME_SAMPLES, FRAME_SAMPLES // 2):
                assert any(start.start_sample <= sample < end.end_sample for start, end in pairs)


@given(many_scores, st.lists(st.integers(0, 800)), some_options)
def test_the_chunking_of_the_scores_does_not_change_the_events(
    scores: list[float], cuts: list[int], options: SegmenterOptions
) -> None:
    segmenter, events = Segmenter(options), list[SegmentEvent]()
    for begin, end in pairwise([0, *sorted(min(cut, len(scores)) for cut in cuts), len(scores)]):
        events += segmenter.on_scores(scores[begin:end])
    assert events + segmenter.flush() == run(scores, options)


@given(many_scores, some_options)
def test_a_tentative_end_that_stands_is_the_end(scores: list[float], options: SegmenterOptions) -> None:
    events = run(scores, options)
    for event, following in pairwise(events):
        if isinstance(event, TentativeEnd):
            assert following == SpeechResumed() or (
                isinstance(following, UtteranceEnded)
                and (following.end_sample, following.speech_end_sample) == (event.end_sample, event.speech_end_sample)
            )
        assert not isinstance(following, SpeechResumed) or isinstance(event, TentativeEnd)


@given(many_scores, some_options)
def test_no_utterance_begins_in_audio_that_was_given_up(scores: list[float], options: SegmenterOptions) -> None:
    segmenter, given_up = Segmenter(options), 0
    for score in scores:
        for event in segmenter.on_scores([score]):
            assert not isinstance(event, UtteranceStarted) or event.start_sample >= given_up
        assert segmenter.quiet_before >= given_up
        given_up = segmenter.quiet_before


# --- another wait for the silence under way


def a_silence(frames: int) -> Segmenter:
    """Ten frames of speech and so many of silence."""
    segmenter = Segmenter(OPTIONS)
    segmenter.on_scores([SPEECH] * 10 + [SILENCE] * frames)
    return segmenter


@pytest.mark.parametrize("wait", [5, 7, 8, 9, 20])
def test_a_silence_ends_after_the_wait_it_was_given(wait: int) -> None:
    segmenter = a_silence(4)
    segmenter.set_endpoint(wait * FRAME_S)
    assert segmenter.on_scores([SILENCE] * (wait - 5)) == []
    assert segmenter.on_scores([SILENCE]) == [ended(0, 12, 10)]


def test_a_wait_that_has_already_passed_ends_the_utterance_at_the_next_frame() -> None:
    segmenter = a_silence(7)
    segmenter.set_endpoint(5 * FRAME_S)
    assert segmenter.on_scores([SILENCE]) == [ended(0, 12, 10)]


def test_no_wait_is_shorter_than_the_tentative_one() -> None:
    segmenter = a_silence(1)
    segmenter.set_endpoint(0.0)
    assert segmenter.on_scores([SILENCE] * 2) == []
    assert segmenter.on_scores([SILENCE]) == [ended(0, 12, 10)]


def test_speech_brings_the_usual_wait_back() -> None:
    segmenter = a_silence(5)
    segmenter.set_endpoint(20 * FRAME_S)
    assert segmenter.on_scores([SPEECH] + [SILENCE] * 8) == [SpeechResumed(), tentative(18, 16), ended(0, 18, 16)]


def test_another_utterance_has_the_usual_wait() -> None:
    segmenter = a_silence(5)
    segmenter.set_endpoint(6 * FRAME_S)
    segmenter.on_scores([SILENCE])
    assert segmenter.on_scores([SPEECH] * 10 + [SILENCE] * 7) == [started(13, 16), tentative(28, 26)]


def test_a_wait_is_nothing_to_somebody_who_speaks() -> None:
    segmenter = Segmenter(OPTIONS)
    segmenter.set_endpoint(20 * FRAME_S)
    segmenter.on_scores([SPEECH] * 10)
    segmenter.set_endpoint(20 * FRAME_S)
    assert segmenter.on_scores([SILENCE] * 8) == [tentative(12, 10), ended(0, 12, 10)]


@given(many_scores, some_options, st.lists(st.tuples(st.integers(0, 800), st.floats(0.0, 6.0)), max_size=8))
def test_whatever_waits_are_set_utterances_stay_disjoint_and_a_tentative_end_that_stands_is_the_end(
    scores: list[float], options: SegmenterOptions, waits: list[tuple[int, float]]
) -> None:
    segmenter, events, done = Segmenter(options), list[SegmentEvent](), 0
    for frame, wait_s in sorted(waits):
        events += segmenter.on_scores(scores[done:frame])
        done = max(done, min(frame, len(scores)))
        segmenter.set_endpoint(wait_s)
    events += segmenter.on_scores(scores[done:]) + segmenter.flush()

    pairs = segments_of(events)
    assert all(before[1].end_sample <= after[0].start_sample for before, after in pairwise(pairs))
    for event, following in pairwise(events):
        if isinstance(event, TentativeEnd) and isinstance(following, UtteranceEnded):
            assert (following.end_sample, following.speech_end_sample) == (event.end_sample, event.speech_end_sample)


# --- another wait for the tentative end


def test_a_tentative_end_may_be_told_later_and_covers_the_same_audio() -> None:
    segmenter = Segmenter(OPTIONS)
    segmenter.on_scores([SPEECH] * 10)
    segmenter.set_tentative(6 * FRAME_S)
    assert segmenter.on_scores([SILENCE] * 5) == []
    assert segmenter.on_scores([SILENCE]) == [tentative(12, 10)]
    assert segmenter.on_scores([SILENCE] * 2) == [ended(0, 12, 10)]


def test_a_tentative_end_that_would_come_with_the_end_is_left_out() -> None:
    segmenter = Segmenter(OPTIONS)
    segmenter.set_tentative(8 * FRAME_S)
    assert segmenter.on_scores([SPEECH] * 10 + [SILENCE] * 8) == [started(0, 0), ended(0, 12, 10)]


def test_a_tentative_end_is_never_told_earlier_than_its_own_wait_nor_twice() -> None:
    segmenter = Segmenter(OPTIONS)
    segmenter.set_tentative(0.0)
    assert segmenter.on_scores([SPEECH] * 10 + [SILENCE] * 4) == [started(0, 0), tentative(12, 10)]
    segmenter.set_tentative(6 * FRAME_S)
    assert segmenter.on_scores([SILENCE] * 4) == [ended(0, 12, 10)]
