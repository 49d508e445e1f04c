from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.contract.client_protocol import ChatOptions, HeldAnswer, SessionResume, SessionStart
from bus.contract.errors import InvalidMessage
from bus.contract.records import ChatTurn, Record, SegmentFailed, SessionResumed, TranscriptFinal
from bus.contract.session_record import SessionRecord
from stream_gateway.chat.resumption import ChatResumption, MissedEvent
from stream_gateway.session.events import ChatCancelled, ChatDelta, Failed, Final
from stream_gateway.session.outset import ChannelOutset
from stream_gateway.session.resumption import Resumption, check_resume, digest, may_resume, plan_resumption
from tests.unit.stream_gateway.session.lives import Lives

IDS: dict[str, Any] = {"tenant": "acme", "session": "s1"}


def a_final(segment: int, *, channel: int = 0, until_s: float = 1.0, text: str = "hello", **fields: Any) -> Record:
    return TranscriptFinal(
        **IDS, segment=segment, channel=channel, start_s=0.5, end_s=0.9, until_s=until_s, text=text, **fields
    )


def a_failure(segment: int, *, channel: int = 0, until_s: float = 1.0) -> Record:
    return SegmentFailed(
        **IDS, segment=segment, channel=channel, start_s=0.5, end_s=0.9, until_s=until_s, code="c", message="m"
    )


def a_resume(**fields: Any) -> SessionResume:
    return SessionResume(**{"session": "s1", "token": "t", "seq": 3, **fields})


def a_plan(
    resume: SessionResume, *records: Record, channels: int = 1, rate_hz: int = 16_000, **more: Any
) -> Resumption:
    return plan_resumption(resume, records, epoch=1, channels=channels, rate_hz=rate_hz, **more)


def a_record(**fields: Any) -> SessionRecord:
    return SessionRecord(
        **{"gateway": "g1", "token_sha256": digest("right"), "expires_at": 100.0, "start": SessionStart(), **fields}
    )


def test_a_session_is_resumed_with_its_own_token_until_that_expires() -> None:
    assert may_resume(a_record(), "right", now_utc=99.0)
    assert not may_resume(a_record(), "wrong", now_utc=99.0)
    assert not may_resume(a_record(), "", now_utc=99.0)
    assert not may_resume(a_record(), "right", now_utc=100.0)
    assert not may_resume(a_record(token_sha256="ü"), "right", now_utc=99.0)


@pytest.mark.parametrize(
    "fields",
    [
        {"seq": -1},
        {"offset": -1},
        {"offset": 2**53},
        {"segments": (1, 2, 3)},
        {"segments": (-1,)},
        {"segments": (2**20,)},
        {"answer": HeldAnswer(answer=1, text="a" * 200_001)},
        {"answer": HeldAnswer(answer=0)},
    ],
)
def test_a_field_outside_its_range_is_named(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessage, match=next(iter(fields))):
        check_resume(a_resume(**fields))


def test_what_a_client_can_have_is_taken() -> None:
    check_resume(a_resume(offset=5, segments=(1, 2), answer=HeldAnswer(answer=1, text="It")))
    check_resume(a_resume())


def test_a_session_without_records_goes_on_where_its_client_can_begin() -> None:
    plan = a_plan(a_resume(offset=7_000))
    assert (plan.audio_offset, plan.outset.begin_sample, plan.missed) == (7_000, 7_000, ())
    assert plan.outset.channel(0) == ChannelOutset(0, 7_000)


def test_audio_is_asked_for_behind_the_newest_record() -> None:
    plan = a_plan(a_resume(offset=7_000), a_final(1, until_s=1.0), a_failure(2, until_s=2.0))
    assert plan.audio_offset == 32_000
    assert plan.outset.channel(0) == ChannelOutset(2, 32_000)


def test_audio_that_the_client_has_forgotten_is_not_asked_for() -> None:
    assert a_plan(a_resume(offset=40_000), a_final(1)).audio_offset == 40_000


def test_with_two_channels_audio_begins_where_the_first_of_them_needs_it() -> None:
    plan = a_plan(a_resume(), a_final(1, until_s=1.0), a_final(2, channel=1, until_s=2.0), channels=2)
    assert plan.audio_offset == 16_000
    assert [plan.outset.channel(channel).heard_sample for channel in (0, 1)] == [16_000, 32_000]


@pytest.mark.parametrize(("rate_hz", "offset", "begin"), [(8_000, 500, 1_000), (44_100, 2_759, 1_001)])
def test_offsets_count_the_clients_own_samples_rounded_down(rate_hz: int, offset: int, begin: int) -> None:
    plan = a_plan(a_resume(), a_final(1, until_s=1_001 / 16_000), rate_hz=rate_hz)
    assert (plan.audio_offset, plan.outset.begin_sample) == (offset, begin)


def test_a_session_without_audio_asks_for_none() -> None:
    plan = a_plan(a_resume(offset=500), channels=0, rate_hz=1)
    assert (plan.audio_offset, plan.outset.begin_sample) == (0, 0)


def test_a_segment_that_only_the_client_knows_of_is_not_numbered_again() -> None:
    assert a_plan(a_resume(segments=(9,))).outset.channel(0).last_segment == 9
    assert a_plan(a_resume(segments=(9,)), a_final(2)).outset.channel(0).last_segment == 9


def test_the_language_goes_on_as_it_was_decoded() -> None:
    records = [a_final(1, language="de"), a_final(2, language="fr"), a_final(3, text="", language="en"), a_final(4)]
    assert a_plan(a_resume(), *records).outset.language == "fr"
    assert a_plan(a_resume()).outset.language is None


def test_what_the_client_has_is_not_told_again_and_the_rest_in_the_order_of_the_record() -> None:
    records = [
        a_final(1),
        a_final(2, channel=1),
        SessionResumed(**IDS, epoch=1),
        a_failure(4, channel=1),
        a_final(3),
    ]
    missed = a_plan(a_resume(segments=(1, 2)), *records, channels=2).missed
    assert [type(event) for event in missed] == [Failed, Final]
    assert [event.segment for event in missed if isinstance(event, Final | Failed)] == [4, 3]


def test_a_client_that_names_no_segments_is_told_all() -> None:
    assert len(a_plan(a_resume(), a_final(1), a_final(2, channel=1), channels=2).missed) == 2


def test_a_final_that_is_told_again_has_its_words_and_no_times() -> None:
    (final,) = a_plan(a_resume(), a_final(1, model="base", language="en")).missed
    assert isinstance(final, Final)
    assert (final.text, final.model, final.language, final.times.total_s) == ("hello", "base", "en", 0.0)


def test_what_was_missed_of_the_chat_is_told_where_its_turns_are_in_the_record() -> None:
    records = [
        ChatTurn(**IDS, turn=1, role="user", text="hi", source="typed"),
        a_final(1),
        ChatTurn(**IDS, turn=2, role="assistant", text="ho", source="model", answer=1, end="cancelled"),
        a_final(2),
    ]
    delta, stopped, running = ChatDelta(1, "ho"), ChatCancelled(1, "ho", "session"), ChatDelta(2, "and")
    missed = (MissedEvent(2, delta), MissedEvent(2, stopped), MissedEvent(4, running))
    chat = ChatResumption(options=ChatOptions(), missed=missed)
    plan = a_plan(a_resume(), *records, chat=chat)
    first, *of_answer, second, last = plan.missed
    assert isinstance(first, Final) and isinstance(second, Final)
    assert (of_answer, last) == ([delta, stopped], running)
    assert plan.chat is chat


STRETCHES = st.lists(
    st.tuples(st.sampled_from([0.6, 1.5, 3.0, 7.0]), st.sampled_from([0.2, 0.7, 2.0])), min_size=1, max_size=5
).map(tuple)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(STRETCHES, min_size=1, max_size=2).map(tuple),
    st.integers(0, 2**32),
    st.lists(st.floats(0.0, 1.0), max_size=3),
    st.sampled_from([8_000, 16_000, 44_100, 48_000]),
    st.booleans(),
)
def test_however_often_a_session_is_taken_over_each_word_is_stored_and_told_once(
    channels: tuple[tuple[tuple[float, float], ...], ...], seed: int, deaths: list[float], rate_hz: int, vad: bool
) -> None:
    lives = Lives(channels, seed=seed, rate_hz=rate_hz, vad=vad)
    lives.run(*deaths)
    lives.check_outcome()
