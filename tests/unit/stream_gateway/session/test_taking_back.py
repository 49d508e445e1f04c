"""A client that takes back what it did not commit, and what it is told of its commits."""

from stream_gateway.session.effects import Cancel, Decode
from stream_gateway.session.events import CommitDone, SpeechCleared, SpeechEnded, SpeechStarted
from tests.unit.stream_gateway.session.builders import QUIET, SPEECH, Harness, emitted, of_type


def clear(harness: Harness) -> list[SpeechCleared]:
    return emitted(harness.do(lambda: harness.session.on_clear(harness.now)), SpeechCleared)


def test_an_open_utterance_that_is_taken_back_gets_no_final() -> None:
    harness = Harness().start()
    harness.hear(SPEECH, seconds=1.0)
    assert clear(harness) == [SpeechCleared(1, 0)]
    harness.hear(QUIET, seconds=2.0)
    assert emitted(harness.effects, SpeechEnded) == []
    assert of_type(harness.effects, Decode) == []


def test_a_final_that_was_begun_in_a_pause_is_cancelled() -> None:
    harness = Harness().start()
    harness.hear(SPEECH, seconds=1.0)
    harness.hear(QUIET, seconds=0.35)
    assert len(of_type(harness.effects, Decode)) == 1
    assert clear(harness) == [SpeechCleared(1, 0)]
    assert [cancel.segment for cancel in of_type(harness.effects, Cancel)] == [1]


def test_audio_that_was_taken_back_is_settled_and_more_may_follow() -> None:
    harness = Harness(vad=False).start()
    harness.hear(0.1, seconds=5.0)
    clear(harness)
    taken_back = harness.received_sample
    harness.hear(0.1, seconds=1.0)
    assert [started.segment for started in emitted(harness.effects, SpeechStarted)] == [1, 2]
    harness.do(lambda: harness.session.on_commit(harness.now))
    (decode,) = of_type(harness.effects, Decode)
    assert (decode.segment, decode.start_sample) == (2, taken_back)


def test_nothing_is_taken_back_where_nothing_is_open_or_no_session_is() -> None:
    harness = Harness()
    assert harness.session.on_clear(harness.now) == []
    harness.start()
    harness.hear(QUIET, seconds=1.0)
    assert clear(harness) == []


def test_a_client_is_told_whether_its_commit_ended_anything() -> None:
    harness = Harness().start()
    for score, ended in ((QUIET, False), (SPEECH, True)):
        harness.hear(score, seconds=1.0)
        effects = harness.do(lambda: harness.session.on_commit(harness.now))
        assert emitted(effects, CommitDone) == [CommitDone(ended)]
