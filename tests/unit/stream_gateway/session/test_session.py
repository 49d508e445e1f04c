from bus.contract.errors import BadContainer, UnsupportedAudio
from bus.contract.records import SegmentFailed, TranscriptFinal
from bus.contract.work import SAMPLE_RATE_HZ
from stream_gateway.policy.endpoint import EndpointOptions
from stream_gateway.session.effects import Close, Decode, Emit, Release
from stream_gateway.session.events import (
    Committed,
    Ended,
    Failed,
    Fault,
    Final,
    Partial,
    SpeechEnded,
    SpeechStarted,
    Started,
)
from stream_gateway.session.session import Phase
from tests.unit.stream_gateway.session.builders import (
    FRAME_S,
    LIMITS,
    QUIET,
    SPEECH,
    Harness,
    a_result,
    a_session,
    emitted,
    of_type,
    samples,
)


def a_greeting() -> Harness:
    """Connected, not started."""
    return Harness(limits=LIMITS)


# --- before the start


def test_a_start_opens_the_session() -> None:
    harness = a_session(channels=2)

    assert harness.events() == [Started("s1", "base", 2)]
    assert harness.session.accepts_audio


def test_a_second_start_is_ignored() -> None:
    harness = a_session()
    assert harness.session.on_start(harness.config, harness.now) == []


def test_a_client_that_does_not_start_in_time_is_closed() -> None:
    harness = a_greeting()
    assert harness.session.deadline(harness.now) == harness.now + 10.0
    assert harness.session.on_time(harness.now + 9.9) == []

    harness.pass_time(10.0)

    (close,) = harness.closes()
    assert (close.code, close.reason) == (4408, "start_timeout")
    assert harness.session.phase is Phase.CLOSED


def test_any_fault_before_the_start_is_fatal() -> None:
    harness = a_greeting()
    error = UnsupportedAudio("encoding must be one of linear16, float32")

    effects = harness.do(lambda: harness.session.on_fault(error, harness.now, fatal=False))

    assert effects == [Emit(Fault(error, fatal=True)), Close(4415, "unsupported_audio")]
    assert harness.session.deadline(harness.now) is None


def test_an_end_of_audio_before_the_start_is_a_normal_end() -> None:
    harness = a_greeting()

    effects = harness.do(lambda: harness.session.on_audio_end(harness.now))

    assert effects == [Emit(Ended("audio_end", 0.0, 0)), Close(1000, "audio_end")]


def test_a_broken_end_of_audio_before_the_start_is_a_fault() -> None:
    harness = a_greeting()

    harness.do(lambda: harness.session.on_audio_end(harness.now, BadContainer("garbage")))

    assert harness.closes() == [Close(4415, "bad_container")]


def test_a_client_that_leaves_before_the_start_needs_no_word() -> None:
    harness = a_greeting()
    assert harness.do(lambda: harness.session.on_gone(harness.now)) == []
    assert harness.session.phase is Phase.CLOSED


def test_a_drain_before_the_start_sends_the_client_elsewhere() -> None:
    harness = a_greeting()
    harness.do(lambda: harness.session.on_drain(30.0, harness.now))
    assert harness.closes() == [Close(1012, "draining")]


def test_the_bus_and_the_workers_are_no_matter_before_the_start() -> None:
    harness = a_greeting()
    assert harness.session.on_bus(harness.now, connected=False) == []
    assert harness.session.on_workers(harness.now, alive=False) == []
    assert harness.session.on_worker_gone(harness.now) == []


def test_a_commit_before_the_start_is_nothing_to_the_machine() -> None:
    harness = a_greeting()
    assert harness.session.on_commit(harness.now) == []


# --- one utterance


def test_a_commit_ends_the_open_utterance_of_every_channel_and_audio_goes_on() -> None:
    harness = a_session(channels=2)
    harness.hear(SPEECH, QUIET, seconds=1.0)

    effects = harness.do(lambda: harness.session.on_commit(harness.now))

    assert [event.channel for event in emitted(effects, SpeechEnded)] == [0]
    (decode,) = of_type(effects, Decode)
    assert emitted(harness.settle(decode), Final)
    assert harness.session.accepts_audio


def test_without_speech_detection_the_client_alone_ends_its_segments() -> None:
    harness = a_session(vad=False)
    harness.hear(0.0, seconds=3.0)
    (first,) = of_type(harness.do(lambda: harness.session.on_commit(harness.now)), Decode)
    harness.hear(0.0, seconds=1.0)
    harness.settle(first)
    ends = harness.do(lambda: harness.session.on_audio_end(harness.now))
    (second,) = of_type(ends, Decode)
    harness.settle(second)

    assert (first.start_sample, first.end_sample) == (0, second.start_sample + second.prior_samples)
    assert second.end_sample == harness.received_sample
    assert harness.session.phase is Phase.CLOSED
    assert emitted(harness.effects, Committed)[-1] == Committed(harness.received_sample)


def test_an_utterance_goes_from_speech_to_a_stored_final_and_commits_its_audio() -> None:
    harness = a_session()
    decode = harness.utterance()

    harness.settle(decode, "hello there")

    kinds = [type(event) for event in harness.events()]
    assert kinds == [Started, SpeechStarted, SpeechEnded, Final, Committed]
    (record,) = harness.records()
    assert isinstance(record, TranscriptFinal)
    assert record.text == "hello there"


def test_the_final_is_decoded_before_the_endpoint_fires() -> None:
    harness = a_session()
    harness.speech(1.0)

    (decode,) = of_type(harness.silence(0.35), Decode)

    assert decode.kind == "final"
    harness.answer(decode)
    assert harness.records() == [], "speech may resume"
    harness.silence(0.3)
    assert len(harness.records()) == 1


def test_partials_are_shown_while_someone_speaks_and_not_after() -> None:
    harness = a_session(partials=True)
    (decode,) = of_type(harness.speech(0.6), Decode)
    assert decode.kind == "partial"
    assert emitted(harness.answer(decode, "hello"), Partial)

    (late,) = of_type(harness.speech(0.5), Decode)
    harness.silence(0.6)

    assert emitted(harness.answer(late, "hello there"), Partial) == []


def test_a_session_without_partials_ignores_them() -> None:
    harness = a_session(partials=False)
    decode = harness.utterance()
    stray = a_result(decode, kind="partial")
    assert harness.session.on_result(stray, harness.now) == []


def test_a_partial_that_could_not_be_published_is_dropped_and_counted() -> None:
    harness = a_session(partials=True)
    harness.publish_succeeds = False

    harness.speech(0.6)

    assert ("partial", "unpublished") in harness.drops()


def test_a_final_that_could_not_be_published_is_published_again_by_the_timer() -> None:
    harness = a_session()
    harness.publish_succeeds = False
    decode = harness.utterance()
    harness.publish_succeeds = True

    assert of_type(harness.pass_time(2.0), Decode) == [decode]


def test_a_failed_store_shows_nothing_and_is_repeated() -> None:
    harness = a_session()
    harness.answer(harness.utterance())
    assert emitted(harness.store(succeeded=False), Final) == []

    harness.pass_time(0.3)

    assert len(harness.records()) == 2
    assert harness.records()[0] == harness.records()[1]
    assert emitted(harness.store(), Final)


def test_two_channels_are_numbered_together_and_told_apart() -> None:
    harness = a_session(channels=2)
    harness.hear(SPEECH, SPEECH, seconds=1.0)

    started = [event for event in harness.events() if isinstance(event, SpeechStarted)]

    assert [(event.segment, event.channel) for event in started] == [(1, 0), (2, 1)]


def test_a_failed_segment_does_not_end_the_session() -> None:
    harness = a_session()
    decode = harness.utterance()
    harness.pass_time(220.0)
    assert isinstance(harness.records()[-1], SegmentFailed)

    assert emitted(harness.store(), Failed)

    assert harness.session.accepts_audio
    assert decode.attempt == 1


# --- commits, releases and back-pressure


def test_silence_is_committed_and_released_in_steps() -> None:
    harness = a_session()

    effects = harness.silence(10.0)

    commits = [event.sample for event in emitted(effects, Committed)]
    assert len(commits) == 4
    assert all(later - earlier >= 2 * SAMPLE_RATE_HZ for earlier, later in zip(commits, commits[1:], strict=False))
    released = [effect.before_sample for effect in of_type(effects, Release)]
    assert released == sorted(set(released))
    assert released[-1] <= harness.received_sample


def test_nothing_is_committed_or_released_beyond_an_utterance_that_is_not_stored() -> None:
    harness = a_session()
    harness.silence(1.0)
    decode = harness.utterance()

    effects = harness.silence(20.0)

    assert emitted(effects, Committed) == []
    assert all(effect.before_sample <= decode.start_sample for effect in of_type(harness.effects, Release))


def test_commits_wait_for_the_slowest_channel_but_each_channel_releases_its_own() -> None:
    harness = a_session(channels=2)
    harness.hear(QUIET, SPEECH, seconds=1.0)
    harness.hear(QUIET, QUIET, seconds=5.0)

    assert [event for event in harness.events() if isinstance(event, Committed)] == []
    released = {effect.channel: effect.before_sample for effect in of_type(harness.effects, Release)}
    assert released[0] > samples(5.0)
    assert 1 not in released


def test_a_session_is_full_while_too_much_audio_is_owed() -> None:
    harness = a_session()
    seen = [harness.session.is_full]
    decode = harness.utterance()
    seen.append(harness.session.is_full)
    harness.silence(30.0)
    seen.append(harness.session.is_full)
    harness.settle(decode)
    seen.append(harness.session.is_full)

    assert seen == [False, False, True, False]


# --- adaptive endpoint


def an_adaptive_pause(partial_text: str) -> tuple[Harness, Decode]:
    """Someone spoke and is silent for 0.26 s; the one partial covers it all. Returns the tentative final."""
    harness = a_session(partials=True, endpoint=EndpointOptions(mode="adaptive"))
    while not of_type(harness.effects, Decode):
        harness.speech(FRAME_S)
    harness.answer(of_type(harness.effects, Decode)[-1], partial_text)
    harness.silence(0.256)
    return harness, of_type(harness.effects, Decode)[-1]


def test_a_sentence_in_the_newest_partial_ends_the_utterance_sooner() -> None:
    harness, final = an_adaptive_pause("well that is all.")
    assert final.kind == "final"
    assert emitted(harness.silence(0.064), SpeechEnded)


def test_the_tentative_answer_of_a_phrase_keeps_the_utterance_open_for_longer() -> None:
    harness, final = an_adaptive_pause("well that is all.")
    harness.answer(final, "well that is all,")

    assert not emitted(harness.silence(0.5), SpeechEnded)
    assert emitted(harness.silence(0.1), SpeechEnded)
    assert len([one for one in of_type(harness.effects, Decode) if one.kind == "final"]) == 1
    assert len(harness.records()) == 1
