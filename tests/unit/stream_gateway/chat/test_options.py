import pytest

from bus.contract.client_protocol import ChatConfigure, ChatOptions
from bus.contract.errors import InvalidMessage
from stream_gateway.chat.options import check_chat, check_text, configured


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (ChatOptions(instructions="x" * 32_001), "chat.instructions may have 32000"),
        (ChatOptions(max_tokens=0), "chat.max_tokens must be from 1 to 32768"),
        (ChatOptions(max_tokens=32_769), "chat.max_tokens must be from 1 to 32768"),
        (ChatOptions(temperature=-0.1), "chat.temperature must be from 0 to 2"),
        (ChatOptions(temperature=2.1), "chat.temperature must be from 0 to 2"),
        (ChatOptions(temperature=float("nan")), "chat.temperature must be from 0 to 2"),
    ],
)
def test_what_is_out_of_range_is_named_with_what_is_accepted(options: ChatOptions, names: str) -> None:
    with pytest.raises(InvalidMessage, match=names):
        check_chat(options)


def test_what_is_in_range_is_taken() -> None:
    check_chat(ChatOptions(instructions="x" * 32_000, max_tokens=32_768, temperature=2))
    check_text("x" * 32_000)


@pytest.mark.parametrize(("text", "says"), [("", "must not be empty"), (" \n", "must not"), ("x" * 32_001, "32000")])
def test_a_turn_needs_a_text_of_bounded_length(text: str, says: str) -> None:
    with pytest.raises(InvalidMessage, match=says):
        check_text(text)


def test_a_change_leaves_alone_what_it_does_not_name() -> None:
    options = ChatOptions(instructions="be brief", temperature=0.5)
    assert configured(options, ChatConfigure(temperature=0.0)) == ChatOptions(instructions="be brief", temperature=0.0)
    with pytest.raises(InvalidMessage):
        configured(options, ChatConfigure(max_tokens=0))
