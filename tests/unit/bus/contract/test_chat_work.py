import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.contract import chat_work
from bus.contract.chat_work import ChatMessage, ChatRequest
from bus.contract.work import OtherVersion

HELLO = (ChatMessage("user", "hello"),)
identifiers = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@given(
    st.builds(
        ChatRequest,
        version=st.just(chat_work.VERSION),
        tenant=identifiers,
        session=identifiers,
        gateway=identifiers,
        answer=st.integers(0, 2**31),
        attempt=st.integers(0, 2**31),
        messages=st.lists(st.builds(ChatMessage, st.sampled_from(("user", "assistant")), st.text(max_size=8))).map(
            lambda before: (*before, *HELLO)
        ),
        max_tokens=st.integers(1, 2**15),
        temperature=st.floats(0, 2),
        deadline_s=st.floats(0, 1000),
    )
)
def test_a_request_comes_back_as_it_went(request: ChatRequest) -> None:
    assert chat_work.decode_chat_request(chat_work.encode_chat(request)) == request


@pytest.mark.parametrize("field", ["tenant", "session", "gateway"])
def test_what_cannot_be_part_of_a_subject_is_refused_without_being_repeated(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} must be") as caught:
        _decode(**{field: "a.secret"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ((), "the last message must be the user's"),
        ((*HELLO, ChatMessage("assistant", "hi")), "the last message must be the user's"),
        ((*HELLO, ChatMessage("system", "be brief"), *HELLO), "only the first message may be the system's"),
    ],
)
def test_a_conversation_that_nobody_could_answer_is_refused(messages: tuple[ChatMessage, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        _decode(messages=messages)


@pytest.mark.parametrize("temperature", [-0.1, 2.1, float("nan")])
def test_a_temperature_out_of_range_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be from 0 to 2"):
        _decode(temperature=temperature)


def test_an_answer_has_at_least_one_token() -> None:
    with pytest.raises(ValueError, match="max_tokens must be 1 or more"):
        _decode(max_tokens=0)


def test_messages_of_another_version_are_told_from_bad_ones() -> None:
    with pytest.raises(OtherVersion):
        _decode(version=2)
    taken = chat_work.ChatTaken(version=2, session="s1", answer=1, attempt=1, worker="w1", model="m")
    with pytest.raises(OtherVersion):
        chat_work.decode_chat_reply(chat_work.encode_chat(taken))
    with pytest.raises(OtherVersion):
        chat_work.decode_chat_cancel(
            chat_work.encode_chat(chat_work.ChatCancel(version=2, session="s1", answer=1, upto_attempt=1))
        )


@pytest.mark.parametrize(
    ("decode", "says"),
    [
        (chat_work.decode_chat_request, "not a chat.request"),
        (chat_work.decode_chat_reply, "not a chat reply"),
        (chat_work.decode_chat_cancel, "not a chat.cancel"),
    ],
)
@pytest.mark.parametrize("data", [b"", b"\xc1", b"secret"])
def test_garbage_is_refused_without_being_repeated(decode: object, says: str, data: bytes) -> None:
    assert callable(decode)
    with pytest.raises(ValueError, match=says) as caught:
        decode(data)
    assert "secret" not in str(caught.value)


def test_a_reply_is_told_by_its_tag() -> None:
    delta = chat_work.ChatDelta(session="s1", answer=1, attempt=1, seq=1, text="hello")
    assert chat_work.decode_chat_reply(chat_work.encode_chat(delta)) == delta
    cancel = chat_work.ChatCancel(session="s1", answer=1, upto_attempt=2)
    assert chat_work.decode_chat_cancel(chat_work.encode_chat(cancel)) == cancel


def _decode(**changes: object) -> ChatRequest:
    request = ChatRequest(tenant="t1", session="s1", gateway="g1", answer=1, model="m", messages=HELLO)
    return chat_work.decode_chat_request(chat_work.encode_chat(msgspec.structs.replace(request, **changes)))


@pytest.mark.parametrize("deadline_s", [float("nan"), float("inf"), -1.0])
def test_a_deadline_that_is_no_time_is_refused(deadline_s: float) -> None:
    with pytest.raises(ValueError, match="deadline_s must be a time"):
        _decode(deadline_s=deadline_s)


def test_timings_that_are_no_numbers_are_refused() -> None:
    done = chat_work.ChatDone(
        session="s1",
        answer=1,
        attempt=1,
        deltas=0,
        finish_reason="stop",
        usage=chat_work.ChatUsage(prompt_tokens=1, completion_tokens=1),
        timings=chat_work.ChatTimings(queue_s=0.0, prefill_s=float("nan"), emit_s=0.0, generate_s=0.0),
        model="m",
        worker="w1",
    )
    with pytest.raises(ValueError, match="timings must be finite"):
        chat_work.decode_chat_reply(chat_work.encode_chat(done))
