"""The client's commits: each is answered once all that was said before it is final."""

from bus.contract.work import SAMPLE_RATE_HZ
from stream_gateway.session.effects import Decode
from stream_gateway.session.events import Ended, Final, Flushed, SpeechEnded
from tests.unit.stream_gateway.session.builders import QUIET, SPEECH, Harness, a_session, emitted, of_type


def commit(harness: Harness) -> list[Flushed]:
    return emitted(harness.do(lambda: harness.session.on_commit(harness.now)), Flushed)


def test_a_commit_in_silence_is_answered_at_once_each_time() -> None:
    harness = a_session()
    assert commit(harness) == [Flushed(0)]
    harness.silence(1.0)
    assert commit(harness) == commit(harness) == [Flushed(harness.received_sample)]


def test_a_commit_ends_what_is_open_and_is_answered_right_after_its_final() -> None:
    harness = a_session()
    harness.speech(1.0)
    committed_at = harness.received_sample
    assert commit(harness) == []
    assert emitted(harness.effects, SpeechEnded)[-1] == SpeechEnded(1, 0, committed_at / SAMPLE_RATE_HZ, "commit")
    (decode,) = of_type(harness.effects, Decode)
    harness.silence(0.5)

    told = [event for event in harness.events() if isinstance(event, Final | Flushed)]
    assert not told
    harness.settle(decode)
    told = [event for event in harness.events() if isinstance(event, Final | Flushed)]
    assert [type(event) for event in told] == [Final, Flushed]
    assert told[-1] == Flushed(committed_at)


def test_a_commit_waits_for_earlier_finals_and_not_for_later_ones() -> None:
    harness = a_session()
    first = harness.utterance()
    assert commit(harness) == []
    second = harness.utterance()

    assert emitted(harness.settle(first), Flushed)
    assert not emitted(harness.settle(second), Flushed)


def test_a_commit_waits_for_every_channel() -> None:
    harness = a_session(channels=2)
    harness.hear(SPEECH, SPEECH, seconds=1.0)
    assert commit(harness) == []
    left, right = of_type(harness.effects, Decode)
    assert not emitted(harness.settle(left), Flushed)
    assert emitted(harness.settle(right), Flushed)


def test_commits_that_wait_are_each_answered_up_to_a_bound() -> None:
    harness = a_session()
    harness.speech(1.0)
    for _ in range(100):
        assert commit(harness) == []
        harness.hear(QUIET, seconds=0.032)
    (decode,) = of_type(harness.effects, Decode)

    flushed = emitted(harness.settle(decode), Flushed)
    assert len(flushed) == 64
    assert flushed[-1].sample == harness.received_sample - 512  # of the newest two that found no room the newer


def test_a_commit_that_waits_when_the_audio_ends_is_answered_before_the_end() -> None:
    harness = a_session()
    harness.speech(1.0)
    commit(harness)
    harness.do(lambda: harness.session.on_audio_end(harness.now))
    (decode,) = of_type(harness.effects, Decode)
    harness.settle(decode)
    assert [type(one) for one in harness.events() if isinstance(one, Flushed | Ended)] == [Flushed, Ended]


def test_the_end_of_speech_says_who_ended_it() -> None:
    harness = a_session()
    harness.utterance()
    harness.speech(26.0)  # longer than an utterance may be
    harness.do(lambda: harness.session.on_audio_end(harness.now))
    assert [one.reason for one in emitted(harness.effects, SpeechEnded)] == ["silence", "max_length", "flush"]
