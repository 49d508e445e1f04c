from bus.contract.chat_work import MAX_REQUEST_BYTES, ChatMessage, ChatRequest, encode_chat
from stream_gateway.chat.request_size import fitted

SYSTEM = ChatMessage("system", "be brief")
LONG = "й" * 100_000


def talk(*texts: str) -> list[ChatMessage]:
    return [ChatMessage("assistant" if number % 2 else "user", text) for number, text in enumerate(texts)]


def test_a_conversation_that_fits_stays_as_it_is() -> None:
    messages = [SYSTEM, *talk("one", "two", "three")]
    assert fitted(messages, "pre") == tuple(messages)


def test_the_oldest_turns_go_until_it_fits_and_the_first_that_stays_is_the_users() -> None:
    messages = [SYSTEM, *talk(LONG, "a", LONG, "b", LONG, "c", LONG, "d", "last")]
    kept = fitted(messages, LONG)
    assert kept == (SYSTEM, *messages[3:])
    assert kept is not None
    request = ChatRequest(
        tenant="t" * 64, session="s" * 64, gateway="g" * 64, answer=1, model="m", messages=kept, prefill=LONG
    )
    assert MAX_REQUEST_BYTES - 300_000 < len(encode_chat(request)) <= MAX_REQUEST_BYTES


def test_a_conversation_without_a_system_text_loses_its_oldest_turns_too() -> None:
    messages = talk("a" * 500, "b", "c")
    assert fitted(messages, "", max_bytes=4096 + 300) == tuple(messages[2:])


def test_a_last_turn_that_alone_is_too_long_does_not_fit() -> None:
    assert fitted([SYSTEM, *talk(LONG)], "", max_bytes=200_000) is None
