from bus.contract.chat_work import ChatMessage
from stream_gateway.chat.conversation import Conversation


def test_turns_of_one_side_become_one_message() -> None:
    conversation = Conversation()
    conversation.add("user", "I want")
    conversation.add("user", "a boat")
    conversation.add("assistant", "why")
    assert conversation.prompt("") == (ChatMessage("user", "I want\na boat"), ChatMessage("assistant", "why"))


def test_instructions_come_first_if_there_are_any() -> None:
    conversation = Conversation([ChatMessage("user", "hello")])
    assert conversation.prompt("be brief")[0] == ChatMessage("system", "be brief")
    assert conversation.prompt("") == (ChatMessage("user", "hello"),)


def test_the_oldest_turns_are_dropped_when_there_is_too_much_and_the_newest_never() -> None:
    conversation = Conversation(max_chars=10)
    for role, text in (("user", "aaaa"), ("assistant", "bbbb"), ("user", "cccc")):
        conversation.add("user" if role == "user" else "assistant", text)
    assert conversation.messages == (ChatMessage("assistant", "bbbb"), ChatMessage("user", "cccc"))
    assert [message.text for message in conversation.prompt("")] == ["cccc"], "an answer without its question"
    conversation.add("user", "d" * 20)
    assert [message.text for message in conversation.messages] == ["d" * 20]


def test_it_is_unanswered_while_the_newest_turn_is_the_users() -> None:
    conversation = Conversation()
    seen = [conversation.is_unanswered]
    conversation.add("user", "hello")
    seen.append(conversation.is_unanswered)
    conversation.add("assistant", "hi")
    seen.append(conversation.is_unanswered)
    assert seen == [False, True, False]
    conversation.clear()
    assert conversation.messages == ()
    assert conversation.prompt("") == ()
