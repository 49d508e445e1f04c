"""What a client of OpenAI Realtime asks for, as what the session is asked for and what the client is told."""

from typing import Any

import pytest

from bus.contract.chat_work import ChatMessage
from bus.contract.client_protocol import AudioCommit, AudioFormat, ChatCancel, ChatConfigure, SessionStart, VadOptions
from stream_gateway.chat.commands import AddTurn, AskAnswer, ForgetTurns, MindSpeech, TurnRef
from stream_gateway.dialects.base import Audio, AudioClear, AudioConfigure
from stream_gateway.session.events import ChatStarted, CommitDone, SpeechEnded, SpeechStarted
from tests.unit.stream_gateway.dialects.openai_desk import MANUAL, Desk, chat_done, error_of, final, kinds


def test_a_session_is_there_at_once_and_starts_when_it_is_needed() -> None:
    desk = Desk("model=gpt-realtime-2")
    assert kinds(desk.told) == ["session.created"]
    assert desk.told[0]["session"]["model"] == "gpt-realtime-2"
    assert desk.dialect.starts_late
    desk.send("session.update", session={"type": "realtime", "instructions": "be brief"})
    assert desk.actions == []
    desk.append()
    start, mind, audio = desk.actions
    assert isinstance(start, SessionStart) and start.chat is not None
    assert (start.chat.instructions, mind) == ("be brief", MindSpeech(interrupts=True))
    assert isinstance(audio, Audio)
    desk.append()
    assert len(desk.asked(SessionStart)) == 1


def test_the_first_update_decides_what_the_session_is() -> None:
    desk = Desk("model=gpt-realtime", session={"type": "transcription"})
    assert desk.told[-1]["session"]["type"] == "transcription"
    desk.append()
    assert [type(action) for action in desk.actions] == [SessionStart, Audio]


def test_the_intent_decides_it_at_first() -> None:
    assert Desk("intent=transcription&model=x").told[0]["session"]["type"] == "transcription"


def test_audio_of_nothing_starts_nothing() -> None:
    desk = Desk()
    desk.append(b"")
    assert desk.actions == []


def test_audio_is_handed_on_byte_by_byte() -> None:
    desk = Desk()
    desk.append(b"\1\2\3")
    assert desk.asked(Audio) == [Audio(b"\1\2\3")]


def test_an_update_of_a_started_session_changes_what_follows_from_turns() -> None:
    desk = Desk()
    desk.append()
    detection = {"create_response": False, "interrupt_response": False}
    (told,) = desk.send(
        "session.update",
        session={"instructions": "new", "max_output_tokens": 9, "audio": {"input": {"turn_detection": detection}}},
    )
    assert told["session"]["instructions"] == "new"
    assert desk.actions[-2:] == [
        ChatConfigure(instructions="new", max_tokens=9, auto=False),
        MindSpeech(interrupts=False),
    ]
    desk.send("session.update", session={"max_output_tokens": "inf"})
    assert desk.actions[-2] == ChatConfigure(instructions="new", max_tokens=512, auto=False)


def test_an_update_of_a_started_transcription_session_asks_for_nothing() -> None:
    desk = Desk("intent=transcription")
    desk.append()
    desk.send("session.update", session={"type": "transcription"})
    assert len(desk.actions) == 2


def test_what_changes_how_audio_is_heard_is_asked_of_a_started_session() -> None:
    desk = Desk("intent=transcription")
    desk.append()
    for change, heard in (
        ({"turn_detection": None}, {"vad": VadOptions(enabled=False)}),
        ({"format": {"type": "audio/pcma"}}, {"audio": AudioFormat(encoding="alaw", sample_rate=8_000)}),
        ({"transcription": {"language": "fr-CA", "prompt": "Paris", "keywords": ["Seine"]}},
         {"language": "fr", "prompt": "Paris", "hotwords": ("Seine",)}),
    ):  # fmt: skip
        (told,) = desk.send("session.update", session={"audio": {"input": change}})
        assert told["type"] == "session.updated"
        asked = desk.asked(AudioConfigure)[-1].start
        assert {name: getattr(asked, name) for name in heard} == heard
    assert len(desk.asked(AudioConfigure)) == 3
    assert told["session"]["audio"]["input"]["turn_detection"] is None


def test_a_tenth_of_a_second_may_be_committed_in_whatever_formats_and_pieces_it_came() -> None:
    desk = Desk("intent=transcription", session=MANUAL)
    for _ in range(5):
        desk.append(bytes(480))  # 10 ms
    desk.send("session.update", session={"audio": {"input": {"format": {"type": "audio/pcmu"}}}})
    for _ in range(4):
        desk.append(bytes(80))
    desk.send("input_audio_buffer.commit")
    assert not desk.asked(AudioCommit)
    for _ in range(10):
        desk.append(bytes(80))
    desk.send("input_audio_buffer.commit")
    assert len(desk.asked(AudioCommit)) == 1


def test_what_is_wrong_is_told_with_the_id_of_its_event() -> None:
    desk = Desk()
    assert error_of(desk.send("nonsense", event_id="e"))["event_id"] == "e"
    wrong = {"audio": {"input": {"turn_detection": {"threshold": "x"}}}}
    error = error_of(desk.send("session.update", event_id="u", session=wrong))
    assert (error["event_id"], error["param"]) == ("u", "session.audio.input.turn_detection.threshold")
    assert error_of(desk.send_bytes(b"\0"))["code"] == "invalid_value"
    assert desk.actions == []


def test_what_cannot_be_played_cannot_be_stopped() -> None:
    assert Desk().send("output_audio_buffer.clear") == []


def test_a_clear_before_anything_came_is_told() -> None:
    desk = Desk()
    assert kinds(desk.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert desk.actions == []
    desk.append()
    assert kinds(desk.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert len(desk.asked(AudioClear)) == 1
    assert error_of(desk.send("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"


def test_an_item_is_a_turn_under_the_clients_id() -> None:
    desk = Desk()
    told = desk.say("hello", id="mine")
    assert kinds(told) == ["conversation.item.added", "conversation.item.done"]
    assert (told[0]["item"]["id"], told[0]["previous_item_id"]) == ("mine", None)
    assert desk.actions[-1] == AddTurn(ref=TurnRef("item", "mine"), role="user", text="hello")
    (added, _) = desk.say("and")
    assert added["item"]["id"].startswith("item_")
    assert added["previous_item_id"] == "mine"


def test_an_item_without_text_is_no_turn() -> None:
    desk = Desk()
    desk.say("")
    assert desk.asked(AddTurn) == []


def test_an_item_of_a_transcription_session_is_kept_and_said_to_nobody() -> None:
    desk = Desk("intent=transcription")
    desk.say("hello", id="a")
    assert kinds(desk.send("conversation.item.retrieve", item_id="a")) == ["conversation.item.retrieved"]
    desk.send("conversation.item.delete", item_id="a")
    assert [type(action) for action in desk.actions] == [SessionStart]


def create_after(desk: Desk, previous: str) -> list[dict[str, Any]]:
    content = [{"type": "input_text", "text": "x"}]
    return desk.send(
        "conversation.item.create",
        previous_item_id=previous,
        item={"role": "user", "type": "message", "content": content},
    )


def test_an_item_goes_where_the_client_wants_it() -> None:
    desk = Desk()
    desk.say("one", id="one")
    desk.say("", id="silent")
    desk.append()
    desk.happen(SpeechStarted(1, 0, 1.0), SpeechEnded(1, 0, 2.0))
    spoken = desk.told[-1]["item"]["id"]
    for previous, place in (
        ("root", "start"),
        ("one", TurnRef("item", "one")),
        ("silent", None),
        (spoken, TurnRef("segment", 1)),
    ):
        (added, _) = create_after(desk, previous)
        assert added["previous_item_id"] == (None if previous == "root" else previous)
        assert desk.asked(AddTurn)[-1].after == place


def test_an_item_may_follow_one_that_the_client_is_not_told_of_yet() -> None:
    desk = Desk()
    dialect = desk.dialect
    first = '{"type":"conversation.item.create","item":{"id":"a","content":[{"type":"input_text","text":"x"}]}}'
    second = first.replace('"a"', '"b"').replace('"item":', '"previous_item_id":"a","item":')
    dialect.on_text(first)
    add = dialect.on_text(second)[0]
    assert isinstance(add, AddTurn) and add.after == TurnRef("item", "a")
    forget = dialect.on_text('{"type":"conversation.item.delete","item_id":"a"}')[0]
    assert forget == ForgetTurns((TurnRef("item", "a"),))
    assert error_of(desk.send_text(first))["code"] == "item_create_duplicate_item_id"


def test_an_item_that_exists_or_follows_nothing_is_refused() -> None:
    desk = Desk()
    desk.say("one", id="one")
    assert error_of(desk.say("again", id="one"))["code"] == "item_create_duplicate_item_id"
    assert error_of(create_after(desk, "nowhere"))["code"] == "item_create_invalid_previous_item_id"


def test_an_item_with_audio_is_heard_as_a_turn_that_nobody_speaks() -> None:
    desk = Desk()
    content = [{"type": "input_audio", "audio": "AAAA"}]
    told = desk.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    assert kinds(told) == ["conversation.item.added", "conversation.item.done"]
    assert desk.actions[2:] == [
        AudioCommit(),
        ChatConfigure(auto=False),
        MindSpeech(interrupts=False),
        Audio(b"\0\0\0"),
        AudioCommit(),
        ChatConfigure(auto=True),
        MindSpeech(interrupts=True),
    ]
    desk = Desk("intent=transcription")
    desk.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    assert desk.actions[1:] == [AudioCommit(), Audio(b"\0\0\0"), AudioCommit()]


def test_an_item_is_forgotten_with_all_that_it_is() -> None:
    desk = Desk()
    desk.append()
    desk.happen(SpeechStarted(1, 0, 1.0), SpeechEnded(1, 0, 2.0), final(1, "hello"))
    item_id = desk.told[-1]["item_id"]
    (told,) = desk.send("conversation.item.delete", item_id=item_id)
    assert (told["type"], told["item_id"]) == ("conversation.item.deleted", item_id)
    assert desk.actions[-1] == ForgetTurns((TurnRef("segment", 1),))
    for what in ("delete", "retrieve", "truncate"):
        error = error_of(desk.send(f"conversation.item.{what}", item_id=item_id, event_id="e"))
        assert (error["code"], error["event_id"]) == (f"item_{what}_invalid_item_id", "e")


def test_an_answer_that_was_played_in_part_stays_as_it_is() -> None:
    desk = Desk()
    desk.happen(ChatStarted(1, "m"), chat_done(1, ""))
    item_id = desk.told[-1]["response"]["output"][0]["id"]
    (told,) = desk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=120)
    assert (told["type"], told["audio_end_ms"]) == ("conversation.item.truncated", 120)
    desk.say("mine", id="mine")
    assert error_of(desk.send("conversation.item.truncate", item_id="mine"))["code"] == "item_truncate_invalid_item_id"


def test_a_response_is_asked_for_as_the_client_wants_it() -> None:
    desk = Desk()
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "why"}]}
    desk.send(
        "response.create",
        response={"instructions": "be rude", "input": [message], "conversation": "none", "max_output_tokens": 3},
    )
    asked = desk.asked(AskAnswer)[-1]
    assert (asked.instructions, asked.max_tokens, asked.remembered) == ("be rude", 3, False)
    assert asked.context == (ChatMessage("user", "why"),)
    desk.send("response.create", response={"max_output_tokens": "inf", "conversation": "auto", "tools": []})
    asked = desk.asked(AskAnswer)[-1]
    assert (asked.instructions, asked.max_tokens, asked.remembered, asked.context) == (None, None, True, None)


@pytest.mark.parametrize(
    "response", [{"max_output_tokens": 0}, {"instructions": "x" * 32_001}, {"input": [{"type": "item_reference"}]}]
)
def test_a_response_that_cannot_be_is_refused(response: object) -> None:
    desk = Desk()
    error_of(desk.send("response.create", response=response))
    assert desk.actions == []


def test_a_transcription_session_answers_nothing() -> None:
    assert error_of(Desk("intent=transcription").send("response.create"))["code"] == "invalid_session_type"


def test_a_cancel_stops_what_runs() -> None:
    desk = Desk()
    error_of(desk.send("response.cancel"))
    assert desk.asked(ChatCancel) == []
    desk.answer_begins()
    assert desk.send("response.cancel") == []
    assert len(desk.asked(ChatCancel)) == 1


def test_manual_turns_stop_nothing_and_ask_for_nothing() -> None:
    desk = Desk(session=MANUAL)
    desk.append()
    start, mind = desk.actions[:2]
    assert isinstance(start, SessionStart) and start.chat is not None
    assert (start.vad.enabled, start.chat.auto, mind) == (False, False, MindSpeech(interrupts=False))
    desk.happen(SpeechStarted(1, 0, 0.0))
    desk.send("input_audio_buffer.commit")
    assert kinds(desk.happen(SpeechEnded(1, 0, 1.0), CommitDone(ended=True)))[0] == "input_audio_buffer.committed"


def test_only_a_session_that_text_has_started_may_never_speak() -> None:
    typed, asked, spoken, item = Desk(), Desk(), Desk(), Desk()
    typed.say("hi")
    asked.send("response.create")
    spoken.append()
    spoken.say("hi")
    item.send(
        "conversation.item.create",
        item={"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]},
    )
    assert [desk.dialect.may_never_speak for desk in (typed, asked, spoken, item)] == [True, True, False, False]
