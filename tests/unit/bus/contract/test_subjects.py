from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.contract import subjects

identifiers = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


def test_every_subject_is_spelled_as_documented() -> None:
    assert subjects.asr_final("std", "t1", "s1") == "asr.final.std.t1.s1"
    assert subjects.asr_partial("std", "t1", "s1") == "asr.partial.std.t1.s1"
    assert subjects.asr_final_pool("std") == "asr.final.std.>"
    assert subjects.asr_partial_pool("std") == "asr.partial.std.>"
    assert subjects.asr_consumer("std") == "asr_std"
    assert subjects.inbox("g1", "s1") == "inbox.gw.g1.s1"
    assert subjects.inbox_all("g1") == "inbox.gw.g1.>"
    assert subjects.transcripts("t1", "s1") == "transcripts.t1.s1"
    assert subjects.live("t1", "s1") == "live.t1.s1"
    assert subjects.live_tenant("t1") == "live.t1.>"
    assert subjects.presence_asr("std", "w1") == "presence.asr.std.w1"
    assert subjects.cancel_asr("std") == "cancel.asr.std"
    assert subjects.taken("g1", "s1") == "taken.gw.g1.s1"
    assert subjects.taken_all("g1") == "taken.gw.g1.>"
    assert subjects.alive_asr("w1") == "alive.asr.w1"
    assert subjects.llm_request("std", "t1", "s1") == "llm.req.std.t1.s1"
    assert subjects.llm_request_pool("std") == "llm.req.std.>"
    assert subjects.llm_consumer("std") == "llm_std"
    assert subjects.session_record("t1", "s1") == "$KV.SESSIONS.t1.s1"
    assert subjects.llm_direct("w1") == "llm.direct.w1"
    assert subjects.chat_inbox("g1", "s1") == "inbox.chat.g1.s1"
    assert subjects.chat_inbox_all("g1") == "inbox.chat.g1.>"
    assert subjects.presence_llm("std", "w1") == "presence.llm.std.w1"
    assert subjects.cancel_llm("std") == "cancel.llm.std"
    assert subjects.takeover("g1") == "takeover.g1"


@given(identifiers, identifiers)
def test_an_inbox_subject_gives_its_ids_back(gateway: str, session: str) -> None:
    assert subjects.parse_inbox(subjects.inbox(gateway, session)) == (gateway, session)


@given(identifiers, identifiers)
def test_a_chat_inbox_subject_gives_its_ids_back(gateway: str, session: str) -> None:
    assert subjects.parse_chat_inbox(subjects.chat_inbox(gateway, session)) == (gateway, session)


@pytest.mark.parametrize("subject", ["inbox.chat.g1", "inbox.gw.g1.s1", "inbox.chat.g1.s1.x", ""])
def test_other_subjects_are_no_chat_inbox(subject: str) -> None:
    with pytest.raises(ValueError, match="not a chat inbox subject"):
        subjects.parse_chat_inbox(subject)


@pytest.mark.parametrize("subject", ["inbox.gw.g1", "inbox.gw.g1.s1.x", "other.gw.g1.s1", "inbox.other.g1.s1", ""])
def test_other_subjects_are_no_inbox(subject: str) -> None:
    with pytest.raises(ValueError, match="not an inbox subject"):
        subjects.parse_inbox(subject)


@given(identifiers, identifiers)
def test_a_subject_of_finals_taken_gives_its_ids_back(gateway: str, session: str) -> None:
    assert subjects.parse_taken(subjects.taken(gateway, session)) == (gateway, session)


@pytest.mark.parametrize("subject", ["taken.gw.g1", "inbox.gw.g1.s1", "taken.gw.g1.s1.x", "taken.other.g1.s1", ""])
def test_other_subjects_are_none_of_finals_taken(subject: str) -> None:
    with pytest.raises(ValueError, match="not a subject of finals taken"):
        subjects.parse_taken(subject)


@pytest.mark.parametrize(
    "subject",
    [
        "$JS.ACK.ASR_FINAL.asr_std.1.7.9.1790000000000000000.0",
        "$JS.ACK.hub.AbC123.ASR_FINAL.asr_std.1.7.9.1790000000000000000.0.Token",
    ],
)
def test_where_a_final_is_answered_is_known_with_and_without_a_domain(subject: str) -> None:
    assert subjects.is_final_ack(subject)


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "$JS.ACK.ASR_FINAL.asr_std.1.7.9.1790000000000000000",
        "$JS.ACK.ASR_FINAL.*.1.7.9.1790000000000000000.0",
        "$JS.ACK.ASR_FINAL.asr_std.1.7.9.1790000000000000000.>",
        "$JS.ACK.TRANSCRIPTS.reader.1.7.9.1790000000000000000.0",
        "$JS.ACK.ASR_FINAL.asr_std.1.7.9.1790000000000000000.0\n",
        "$JS.API.STREAM.DELETE.ASR_FINAL",
        "$JS.ACK.ASR_FINAL.asr_std.1.7.9." + "9" * 300 + ".0",
    ],
)
def test_no_other_subject_passes_for_one_where_a_final_is_answered(subject: str) -> None:
    assert not subjects.is_final_ack(subject)


@pytest.mark.parametrize("bad", ["", "a.b", "*", ">", "a b", "a\n", "é", "x" * 65])
@pytest.mark.parametrize(
    "build",
    [
        lambda bad: subjects.asr_final(bad, "t", "s"),
        lambda bad: subjects.asr_final("p", bad, "s"),
        lambda bad: subjects.asr_partial("p", "t", bad),
        lambda bad: subjects.inbox(bad, "s"),
        lambda bad: subjects.live(bad, "s"),
        lambda bad: subjects.presence_asr("p", bad),
        subjects.cancel_asr,
        subjects.alive_asr,
        lambda bad: subjects.taken(bad, "s"),
        lambda bad: subjects.taken("g", bad),
        lambda bad: subjects.llm_request("p", bad, "s"),
        lambda bad: subjects.llm_request(bad, "t", "s"),
        lambda bad: subjects.chat_inbox("g", bad),
        subjects.llm_direct,
        subjects.cancel_llm,
    ],
)
def test_no_id_can_smuggle_a_token_or_a_wildcard_in(build: Callable[[str], str], bad: str) -> None:
    with pytest.raises(ValueError, match="must be 1 to 64 characters") as caught:
        build(bad)
    assert not bad or repr(bad) not in str(caught.value)
