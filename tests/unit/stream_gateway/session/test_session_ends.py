"""How sessions end, and what an outage or a fault does to them."""

import pytest

from bus.contract.errors import BadContainer, ClientTooSlow, InvalidMessage
from bus.contract.records import TranscriptFinal
from bus.contract.work import SAMPLE_RATE_HZ
from stream_gateway.segmentation.segmenter import FRAME_SAMPLES
from stream_gateway.session.config import SessionLimits
from stream_gateway.session.effects import Close, Decode, Dropped, Emit
from stream_gateway.session.events import (
    Committed,
    DrainNotice,
    Ended,
    Fault,
    Final,
    SpeechStarted,
    Started,
)
from stream_gateway.session.session import Phase
from tests.unit.stream_gateway.session.builders import (
    SPEECH,
    Harness,
    a_result,
    a_session,
    emitted,
    of_type,
)

# --- the end


def test_the_end_of_audio_waits_for_all_finals_and_then_says_goodbye() -> None:
    harness = a_session()
    harness.speech(1.0)
    effects = harness.do(lambda: harness.session.on_audio_end(harness.now))
    (decode,) = of_type(effects, Decode)
    assert harness.session.phase is Phase.ENDING

    effects = harness.settle(decode)

    final, committed, ended = [effect.event for effect in of_type(effects, Emit)]
    assert isinstance(final, Final)
    assert committed == Committed(harness.received_sample)
    assert ended == Ended("audio_end", harness.received_sample / SAMPLE_RATE_HZ, 1)
    assert effects[-1] == Close(1000, "audio_end")
    assert harness.session.deadline(harness.now) is None


def test_a_session_with_nothing_owed_ends_at_once() -> None:
    harness = a_session()
    harness.silence(1.0)

    harness.do(lambda: harness.session.on_audio_end(harness.now))

    assert [type(event) for event in harness.events()] == [Started, Committed, Ended]


def test_a_broken_end_of_audio_is_told_after_the_finals() -> None:
    harness = a_session()
    harness.speech(1.0)
    error = BadContainer("the file ends in the middle")
    (decode,) = of_type(harness.do(lambda: harness.session.on_audio_end(harness.now, error)), Decode)

    harness.settle(decode)

    assert [type(event) for event in harness.events()][-4:] == [Final, Committed, Fault, Ended]
    assert harness.closes() == [Close(4415, "bad_container")]


def test_after_the_end_everything_is_ignored() -> None:
    harness = a_session()
    decode = harness.utterance()
    harness.settle(decode)
    harness.do(lambda: harness.session.on_audio_end(harness.now))
    (record,) = harness.records()
    session, now = harness.session, harness.now + 1.0

    assert session.on_scores(0, [SPEECH], now) == []
    assert session.on_audio_end(now) == []
    assert session.on_gone(now) == []
    assert session.on_result(a_result(decode), now) == []
    assert session.on_published(decode, now, succeeded=True) == []
    assert session.on_taken(decode, now) == []
    assert session.on_noticed(decode.segment, decode.window, now) == []
    assert session.on_stored(record, now, succeeded=True) == []
    assert session.on_bus(now, connected=False) == []
    assert session.on_workers(now, alive=False) == []
    assert session.on_drain(1.0, now) == []
    assert session.on_fault(InvalidMessage("bad"), now, fatal=True) == []
    assert session.on_time(now) == []
    assert session.deadline(now) is None


def test_audio_after_the_end_is_neither_heard_nor_committed() -> None:
    harness = a_session()
    harness.speech(1.0)
    heard = harness.received_sample
    (decode,) = of_type(harness.do(lambda: harness.session.on_audio_end(harness.now)), Decode)

    assert emitted(harness.speech(1.0), SpeechStarted) == []
    effects = harness.settle(decode)

    assert emitted(effects, Committed) == [Committed(heard)]
    assert emitted(effects, Ended) == [Ended("audio_end", heard / SAMPLE_RATE_HZ, 1)]


def test_audio_whose_scores_are_still_under_way_at_a_forced_end_is_not_committed() -> None:
    harness = a_session()
    harness.silence(1.0)
    harness.session.on_audio(harness.received_sample + 16_000, harness.now)

    harness.do(lambda: harness.session.on_drain(0.0, harness.now))
    effects = harness.pass_time(0.1)

    assert emitted(effects, Committed) == [Committed(harness.received_sample)]


def test_the_half_frame_at_the_end_is_committed() -> None:
    harness = a_session()
    harness.silence(1.0)
    harness.session.on_audio(harness.received_sample + FRAME_SAMPLES - 1, harness.now)

    effects = harness.do(lambda: harness.session.on_audio_end(harness.now))

    assert emitted(effects, Committed) == [Committed(harness.received_sample + FRAME_SAMPLES - 1)]


def test_a_client_that_is_gone_still_gets_its_transcript_stored() -> None:
    harness = a_session()
    harness.speech(1.0)

    (decode,) = of_type(harness.do(lambda: harness.session.on_gone(harness.now)), Decode)
    harness.settle(decode)

    assert len(harness.records()) == 1
    assert harness.session.phase is Phase.CLOSED


@pytest.mark.parametrize(
    ("bus_connected", "code"), [(True, Close(1011, "internal")), (False, Close(1013, "bus_unavailable"))]
)
def test_finals_that_do_not_come_in_time_are_given_up_with_the_likely_reason(bus_connected: bool, code: Close) -> None:
    harness = a_session()
    harness.utterance()
    harness.do(lambda: harness.session.on_workers(harness.now, alive=False))
    harness.do(lambda: harness.session.on_bus(harness.now, connected=bus_connected))
    harness.do(lambda: harness.session.on_audio_end(harness.now))

    effects = harness.pass_time(120.0)

    assert effects[-1] == code
    assert effects.count(Dropped("final", "overdue")) == 1
    assert emitted(effects, Ended) == []
    assert harness.session.phase is Phase.CLOSED


# --- limits in time


def test_a_session_without_audio_is_closed_as_idle() -> None:
    harness = a_session()
    harness.silence(1.0)
    assert of_type(harness.pass_time(59.9), Close) == []

    harness.pass_time(0.2)

    assert harness.closes() == [Close(4408, "idle_timeout")]
    assert [type(event) for event in harness.events()][-2:] == [Fault, Ended]


def test_a_client_that_sends_a_file_is_not_idle_though_nothing_of_it_can_be_decoded_yet() -> None:
    harness = a_session()
    for _ in range(5):
        harness.pass_time(50.0)
        harness.session.on_bytes(harness.now)
    harness.pass_time(59.0)
    assert harness.closes() == []
    harness.pass_time(2.0)
    assert harness.closes() == [Close(4408, "idle_timeout")]


def test_a_client_is_not_idle_while_we_owe_it_a_final() -> None:
    harness = a_session()
    decode = harness.utterance()
    harness.do(lambda: harness.session.on_workers(harness.now, alive=False))

    harness.pass_time(200.0)
    assert harness.closes() == []

    harness.settle(decode)
    harness.pass_time(61.0)
    assert harness.closes() == [Close(4408, "idle_timeout")]


def test_a_session_at_its_maximum_duration_gets_its_finals_and_its_own_code() -> None:
    harness = Harness(limits=SessionLimits(max_session_s=2.0)).start()
    harness.speech(1.9)

    (decode,) = of_type(harness.pass_time(0.2), Decode)
    harness.settle(decode)

    assert harness.closes() == [Close(4409, "session_too_long")]
    assert [event.reason for event in harness.events() if isinstance(event, Ended)] == ["session_too_long"]


def test_a_drain_is_announced_once_and_enforced_later() -> None:
    harness = a_session()
    harness.speech(1.0)
    assert harness.do(lambda: harness.session.on_drain(5.0, harness.now)) == [Emit(DrainNotice(5.0))]
    assert harness.do(lambda: harness.session.on_drain(1.0, harness.now)) == []
    assert harness.session.accepts_audio

    (decode,) = of_type(harness.pass_time(5.0), Decode)
    harness.settle(decode)

    assert harness.closes() == [Close(1012, "draining")]


# --- faults and outages


def test_a_client_error_is_told_and_forgiven_a_few_times() -> None:
    harness = a_session()
    error = InvalidMessage("bad JSON")
    for _ in range(3):
        effects = harness.do(lambda: harness.session.on_fault(error, harness.now, fatal=False))
        assert effects == [Emit(Fault(error, fatal=False))]

    harness.do(lambda: harness.session.on_fault(error, harness.now, fatal=False))

    assert harness.closes() == [Close(4400, "invalid_message")]


def test_a_fatal_fault_is_the_last_that_the_client_hears_but_its_words_are_stored() -> None:
    harness = a_session(partials=True)
    harness.speech(1.0)
    error = ClientTooSlow("too many events wait")

    effects = harness.do(lambda: harness.session.on_fault(error, harness.now, fatal=True))

    assert of_type(effects, Emit) == [Emit(Fault(error, fatal=True))]
    (decode,) = [one for one in of_type(effects, Decode) if one.kind == "final"]
    since = len(harness.effects)
    harness.do(lambda: harness.session.on_bus(harness.now, connected=False))
    harness.do(lambda: harness.session.on_fault(error, harness.now, fatal=False))
    harness.do(lambda: harness.session.on_fault(error, harness.now, fatal=True))
    harness.settle(decode)
    assert of_type(harness.effects[since:], Emit) == []
    assert len(harness.closes()) == 1
    assert len(harness.records()) == 1
    assert harness.session.phase is Phase.CLOSED


def test_a_client_that_was_already_dismissed_is_not_told_of_overdue_finals() -> None:
    harness = a_session()
    harness.utterance()
    harness.do(lambda: harness.session.on_fault(ClientTooSlow("slow"), harness.now, fatal=True))

    harness.do(lambda: harness.session.on_workers(harness.now, alive=False))
    harness.pass_time(121.0)

    assert len(harness.closes()) == 1
    assert harness.session.phase is Phase.CLOSED


def test_an_outage_of_the_bus_is_told_once_and_its_return_publishes_again() -> None:
    harness = a_session()
    decode = harness.utterance()

    effects = harness.do(lambda: harness.session.on_bus(harness.now, connected=False))
    assert [(fault.error.code, fault.fatal) for fault in emitted(effects, Fault)] == [("bus_unavailable", False)]
    assert harness.do(lambda: harness.session.on_bus(harness.now, connected=False)) == []

    effects = harness.do(lambda: harness.session.on_bus(harness.now, connected=True))
    assert [(one.window, one.attempt) for one in of_type(effects, Decode)] == [(decode.window, 2)]


def test_a_partial_that_was_in_flight_when_the_bus_went_is_asked_for_anew() -> None:
    harness = a_session(partials=True)
    effects = harness.speech(1.0)
    (lost,) = of_type(harness.effects, Decode)
    harness.do(lambda: harness.session.on_bus(harness.now, connected=False))
    effects = harness.do(lambda: harness.session.on_bus(harness.now, connected=True))
    (again,) = of_type(effects, Decode)
    assert (again.kind, again.segment) == ("partial", lost.segment)
    assert again.window > lost.window


def test_the_death_of_one_worker_of_several_makes_a_partial_doubtful_and_is_not_told() -> None:
    harness = a_session(partials=True)
    harness.speech(1.0)
    (lost,) = of_type(harness.effects, Decode)
    assert harness.do(lambda: harness.session.on_worker_gone(harness.now)) == []
    harness.pass_time(0.6)
    assert [one.window > lost.window for one in of_type(harness.effects, Decode)] == [False, True]


def test_the_death_of_a_worker_is_nothing_to_a_session_without_partials() -> None:
    harness = a_session()
    harness.utterance()
    assert harness.do(lambda: harness.session.on_worker_gone(harness.now)) == []


def test_a_pool_without_workers_is_told_once_and_costs_no_word() -> None:
    harness = a_session()
    decode = harness.utterance()

    effects = harness.do(lambda: harness.session.on_workers(harness.now, alive=False))
    assert [fault.error.code for fault in emitted(effects, Fault)] == ["no_worker"]
    assert harness.do(lambda: harness.session.on_workers(harness.now, alive=False)) == []
    harness.pass_time(300.0)
    assert harness.records() == []

    assert emitted(harness.do(lambda: harness.session.on_workers(harness.now, alive=True)), Fault) == []
    harness.settle(decode)
    assert isinstance(harness.records()[-1], TranscriptFinal)
