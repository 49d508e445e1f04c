from typing import Any

import pytest

from bus.contract.client_protocol import ChatOptions, ResumeGrant
from bus.contract.errors import IdleTimeout
from bus.contract.presence import WorkerPresence
from bus.control.roster import Roster
from stream_gateway.chat.options import ChatConfig
from stream_gateway.chat.resumption import ChatResumption
from stream_gateway.session.effects import Close, Decode, Effect, Emit, Store
from stream_gateway.session.events import Ended, Failed, Fault, Missed, Resumed, SpeechEnded
from stream_gateway.session.outset import ChannelOutset, Outset
from stream_gateway.session.resumption import Resumption
from stream_gateway.session.session import Phase
from tests.unit.stream_gateway.session.builders import LIMITS, Harness, a_session, emitted, of_type, samples

GRACE_S = 5.0
MISSED = (Failed(1, 0, 0.1, 0.9, "c", "m"),)


def a_resumption(**changes: Any) -> Resumption:
    outset = Outset(epoch=1, begin_sample=samples(3.2), channels=(ChannelOutset(2, samples(3.2)),))
    return Resumption(**{"outset": outset, "audio_offset": samples(3.2), "missed": MISSED, **changes})


def a_resumed_session(*, within_s: float = 400.0, plan: Resumption | None = None, **config: Any) -> Harness:
    desk = Harness(limits=LIMITS, resume=ResumeGrant(token="t", within_s=within_s), **config)
    plan = plan or a_resumption()
    desk.received_sample = plan.outset.clock_sample
    desk.do(lambda: desk.session.on_resume(desk.config, plan, desk.now))
    return desk


def lose(desk: Harness) -> list[Effect]:
    return desk.do(lambda: desk.session.on_lost(GRACE_S, desk.now))


def awaits(desk: Harness) -> bool:
    return desk.session.awaits_client


def test_a_resumed_session_tells_what_was_missed_and_then_where_audio_begins() -> None:
    desk = a_resumed_session()
    resumed = Resumed("s1", "base", 1, None, ResumeGrant(token="t", within_s=400.0), samples(3.2))
    assert desk.events() == [Missed(MISSED), resumed]


def test_a_resumed_session_counts_on_from_where_it_was() -> None:
    desk = a_resumed_session()
    decode = desk.utterance()
    assert decode.segment == 3
    assert decode.window > 2**20
    assert decode.start_sample >= samples(3.2)
    desk.settle(decode)
    desk.do(lambda: desk.session.on_audio_end(desk.now))
    (ended,) = [event for event in desk.events() if isinstance(event, Ended)]
    assert ended.segments == 3
    assert ended.audio_s == pytest.approx(4.8, abs=0.1)


def test_a_session_lasts_no_longer_for_having_been_resumed() -> None:
    desk = a_resumed_session(within_s=30.0)
    desk.pass_time(31.0)
    assert [close.reason for close in desk.closes()] == ["session_too_long"]


def test_a_session_that_is_open_is_not_resumed() -> None:
    desk = a_session()
    assert desk.do(lambda: desk.session.on_resume(desk.config, a_resumption(), desk.now)) == []


def test_a_chat_goes_on_with_its_session_whether_somebody_can_answer_or_not() -> None:
    plan = a_resumption(chat=ChatResumption(options=ChatOptions()))
    chat, roster = ChatConfig(session="s1", tenant="acme"), Roster(kind="LLM")
    desk = a_resumed_session(plan=plan, chat=chat, llm=roster)
    assert [fault.error.code for fault in emitted(desk.effects, Fault)] == ["no_worker"]

    presence = WorkerPresence(worker="w1", pool="std", model="m", slots=1, state="ready", free_slots=1)
    roster.on_presence(presence, desk.now)
    desk = a_resumed_session(plan=plan, chat=chat, llm=roster)
    (resumed,) = emitted(desk.effects, Resumed)
    assert resumed.chat_model == "m"
    assert emitted(desk.effects, Fault) == []


def test_a_session_whose_socket_broke_goes_on_and_nothing_is_ended() -> None:
    desk = a_session()
    decode = desk.utterance()
    desk.speech(1.0)
    assert lose(desk) == []
    assert awaits(desk)
    desk.settle(decode)
    desk.pass_time(GRACE_S - 0.1)
    assert [record.segment for record in desk.records()] == [1]
    assert [ended.segment for ended in emitted(desk.effects, SpeechEnded)] == [1]


def test_nobody_is_shown_partials_while_the_client_is_away() -> None:
    desk = a_session(partials=True)
    desk.speech(2.0)
    (partial, *_) = of_type(desk.effects, Decode)
    lose(desk)
    since = len(desk.effects)
    desk.answer(partial)
    desk.pass_time(GRACE_S - 0.1)
    assert of_type(desk.effects[since:], Decode) == []


def test_after_its_grace_what_was_said_is_decoded_and_stored_and_that_is_all() -> None:
    desk = a_session()
    desk.speech(1.0)
    lose(desk)
    desk.pass_time(GRACE_S)
    assert not awaits(desk)
    (decode,) = of_type(desk.effects, Decode)
    desk.settle(decode)
    assert desk.session.phase is Phase.CLOSED


def test_a_session_that_was_ending_goes_on_to_its_end_whether_the_client_comes_back_or_not() -> None:
    desk = a_session()
    desk.speech(1.0)
    desk.do(lambda: desk.session.on_audio_end(desk.now))
    lose(desk)
    assert awaits(desk)
    desk.pass_time(GRACE_S)
    assert not awaits(desk)
    (decode,) = of_type(desk.effects, Decode)
    desk.settle(decode)
    assert desk.session.phase is Phase.CLOSED


def test_a_socket_that_breaks_before_the_start_is_just_gone() -> None:
    desk = Harness()
    lose(desk)
    assert desk.session.phase is Phase.CLOSED


def test_who_was_told_goodbye_is_not_waited_for() -> None:
    desk = a_session()
    desk.speech(1.0)
    desk.do(lambda: desk.session.on_fault(IdleTimeout("nothing came"), desk.now, fatal=True))
    lose(desk)
    assert not awaits(desk)


@pytest.mark.parametrize("is_lost_first", [True, False])
def test_a_gateway_that_goes_away_waits_for_nobody(is_lost_first: bool) -> None:
    desk = a_session()
    if is_lost_first:
        lose(desk)
    desk.do(lambda: desk.session.on_drain(20.0, desk.now))
    if not is_lost_first:
        lose(desk)
    assert desk.session.phase is Phase.CLOSED


def test_a_session_that_is_anothers_is_let_go_of_at_once() -> None:
    desk = a_session()
    desk.utterance()
    desk.speech(1.0)
    effects = desk.do(lambda: desk.session.on_taken_over(desk.now))
    fault, close = effects
    assert isinstance(fault, Emit) and isinstance(fault.event, Fault)
    assert (fault.event.error.code, fault.event.fatal) == ("session_taken", True)
    assert close == Close(4412, "session_taken")
    assert desk.session.phase is Phase.CLOSED
    assert desk.session.deadline(desk.now) is None
    assert of_type(desk.effects, Store) == []


def test_who_was_told_goodbye_hears_nothing_of_a_takeover() -> None:
    desk = a_session()
    desk.speech(1.0)
    desk.do(lambda: desk.session.on_fault(IdleTimeout("nothing came"), desk.now, fatal=True))
    assert desk.do(lambda: desk.session.on_taken_over(desk.now)) == []
    assert desk.do(lambda: desk.session.on_taken_over(desk.now)) == []
    assert desk.session.phase is Phase.CLOSED
