"""A session whose audio is heard in another way from some point on."""

from dataclasses import replace
from typing import Any

from stream_gateway.policy.endpoint import EndpointOptions
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES, SegmenterOptions
from stream_gateway.session.effects import Cancel, Decode, Effect
from stream_gateway.session.events import SpeechCleared, SpeechEnded, SpeechStarted
from stream_gateway.session.session import Phase
from tests.unit.stream_gateway.session.builders import QUIET, SPEECH, Harness, a_session, emitted, of_type


def configure(harness: Harness, **changes: Any) -> list[Effect]:
    harness.config = replace(harness.config, **changes)
    return harness.do(lambda: harness.session.on_audio_configure(harness.config, harness.now))


def test_what_is_being_said_ends_where_the_client_ends_it_from_then_on() -> None:
    harness = Harness().start()
    harness.hear(SPEECH, seconds=1.0)
    assert configure(harness, vad=False) == []
    harness.hear(QUIET, seconds=3.0)
    assert emitted(harness.effects, SpeechEnded) == []
    (ended,) = emitted(harness.do(lambda: harness.session.on_commit(harness.now)), SpeechEnded)
    (decode,) = of_type(harness.effects, Decode)
    assert (ended.segment, ended.reason, decode.start_sample) == (1, "commit", 0)
    assert decode.end_sample == harness.received_sample


def test_a_final_that_was_begun_in_a_pause_is_cancelled_where_the_pause_may_be_none() -> None:
    harness = Harness().start()
    harness.hear(SPEECH, seconds=1.0)
    harness.hear(QUIET, seconds=0.35)
    assert len(of_type(harness.effects, Decode)) == 1
    assert [cancel.segment for cancel in of_type(configure(harness, vad=False), Cancel)] == [1]


def test_where_silence_is_to_be_longer_a_pause_under_way_is_decoded_anew_when_it_has_passed() -> None:
    harness = Harness().start()
    harness.hear(SPEECH, seconds=1.0)
    harness.hear(QUIET, seconds=0.35)
    configure(harness, segmenter=SegmenterOptions(endpoint_s=2.0))
    harness.hear(QUIET, seconds=1.5)
    assert emitted(harness.effects, SpeechEnded) == []
    harness.hear(QUIET, seconds=0.3)
    (ended,) = emitted(harness.effects, SpeechEnded)
    assert ended.end_s == emitted(harness.effects, SpeechStarted)[0].start_s + 1.0 - 1.0 % 0.032
    assert len(of_type(harness.effects, Decode)) == 2


def test_what_the_client_had_not_committed_is_heard_again_for_turns() -> None:
    harness = Harness(vad=False).start()
    harness.hear(0.1, seconds=2.0)
    assert emitted(configure(harness, vad=True), SpeechCleared) == [SpeechCleared(1, 0)]
    assert harness.session.scored_sample(0) == 0
    frames = harness.received_sample // FRAME_SAMPLES
    again = [QUIET] * 10 + [SPEECH] * 20 + [QUIET] * (frames - 30)
    harness.do(lambda: harness.session.on_scores(0, again, harness.now))
    assert harness.session.scored_sample(0) == harness.received_sample
    (ended,) = emitted(harness.effects, SpeechEnded)
    (decode,) = of_type(harness.effects, Decode)
    assert (ended.segment, decode.segment, decode.start_sample) == (2, 2, 0)
    harness.utterance()
    assert [started.segment for started in emitted(harness.effects, SpeechStarted)] == [1, 2, 3]


def test_the_language_counts_for_what_is_decoded_from_then_on() -> None:
    harness = Harness(language="en").start()
    assert harness.utterance().language == "en"
    configure(harness, language="de")
    assert harness.utterance().language == "de"


def test_the_same_once_more_disturbs_nothing() -> None:
    harness = Harness().start()
    harness.hear(SPEECH, seconds=1.0)
    harness.hear(QUIET, seconds=0.35)
    assert configure(harness, segmenter=SegmenterOptions(), endpoint=EndpointOptions()) == []


def test_a_session_that_ends_or_has_not_begun_is_not_configured() -> None:
    fresh = Harness()
    assert configure(fresh, vad=False) == []
    harness = a_session()
    harness.hear(SPEECH, seconds=1.0)
    harness.do(lambda: harness.session.on_audio_end(harness.now))
    assert harness.session.phase is Phase.ENDING
    assert configure(harness, vad=False) == []
