"""Answers, as responses."""

import json

import pytest

from bus.contract.client_protocol import ChatCancel
from bus.contract.errors import NoWorker
from stream_gateway.chat.commands import AskAnswer
from stream_gateway.dialects.base import Later
from stream_gateway.session.events import AnswerWanted, ChatCancelled, ChatDelta, ChatFailed, ChatStarted, TurnStored
from tests.unit.stream_gateway.dialects.openai_desk import Desk, chat_done, error_of, kinds

END = [
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]


def test_a_response_is_told_in_full() -> None:
    desk = Desk()
    created = desk.answer_begins(metadata={"client_event_id": "x"}, max_output_tokens=9)
    assert created == {
        "id": created["id"],
        "object": "realtime.response",
        "status": "in_progress",
        "output": [],
        "conversation_id": created["conversation_id"],
        "output_modalities": ["text"],
        "max_output_tokens": 9,
        "metadata": {"client_event_id": "x"},
    }
    told = desk.happen(ChatDelta(1, "hel"), ChatDelta(1, "lo"), chat_done(1, "hello"))
    assert kinds(desk.told)[-11:-7] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
    ]
    assert kinds(told) == ["response.output_text.delta"] * 2 + END
    assert [event["delta"] for event in told[:2]] == ["hel", "lo"]
    assert told[2]["text"] == told[3]["part"]["text"] == "hello"
    assert told[3]["part"]["type"] == "text"
    assert told[4]["item"]["content"] == [{"type": "output_text", "text": "hello"}]
    assert told[4]["item"]["status"] == "completed"
    done = told[-1]["response"]
    assert (done["id"], done["status"], done["metadata"]) == (created["id"], "completed", {"client_event_id": "x"})
    assert done["output"] == [told[4]["item"]]
    assert done["usage"] == {
        "total_tokens": 16,
        "input_tokens": 11,
        "output_tokens": 5,
        "input_token_details": {"text_tokens": 11, "audio_tokens": 0, "cached_tokens": 4},
        "output_token_details": {"text_tokens": 5, "audio_tokens": 0},
    }


def test_the_item_of_a_response_is_added_empty_and_in_progress() -> None:
    desk = Desk()
    desk.answer_begins()
    added = next(event for event in desk.told if event["type"] == "response.output_item.added")
    assert (added["item"]["status"], added["item"]["content"]) == ("in_progress", [])


def test_an_answer_that_nobody_asked_for_is_a_response_too() -> None:
    desk = Desk()
    told = desk.happen(ChatStarted(1, "m"))
    assert kinds(told)[0] == "response.created"
    assert "metadata" not in told[0]["response"]


@pytest.mark.parametrize(
    ("reason", "told_reason"),
    [("speech", "turn_detected"), ("client", "client_cancelled"), ("turn", "client_cancelled")],
)
def test_a_response_that_is_stopped_is_closed_part_by_part(reason: str, told_reason: str) -> None:
    desk = Desk()
    desk.answer_begins()
    told = desk.happen(ChatDelta(1, "hel"), ChatCancelled(1, "hel", reason))[1:]  # type: ignore[arg-type]
    assert kinds(told) == END
    assert told[2]["item"]["status"] == "incomplete"
    done = told[-1]["response"]
    assert (done["status"], done["status_details"]) == ("cancelled", {"type": "cancelled", "reason": told_reason})
    assert "usage" not in done


def test_a_response_may_be_too_long_or_fail() -> None:
    desk = Desk()
    desk.answer_begins()
    done = desk.happen(chat_done(1, "", reason="length"))[-1]["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    desk.answer_begins()
    done = desk.happen(ChatFailed(2, "", NoWorker("nobody")))[-1]["response"]
    assert (done["status"], done["status_details"]["error"]["code"]) == ("failed", "no_worker")


def test_there_is_one_at_a_time() -> None:
    desk = Desk()
    desk.answer_begins()
    assert desk.send("response.create", event_id="second") == []
    error = error_of(desk.happen(AnswerWanted(desk.asked(AskAnswer)[-1].key, accepted=False)))
    assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")


def test_a_response_outside_the_conversation_leaves_no_item_in_it() -> None:
    desk = Desk()
    created = desk.answer_begins(conversation="none", input=[])
    assert "conversation_id" not in created
    told = desk.happen(chat_done(1, ""))
    assert not any(kind.startswith("conversation.item") for kind in kinds(desk.told))
    assert kinds(told) == [kind for kind in END if not kind.startswith("conversation")]


def test_a_cancel_of_nothing_is_refused_in_the_words_that_clients_look_for() -> None:
    desk = Desk()
    for active in (False, True):
        told = desk.send("response.cancel", event_id="x", response_id="other")
        error = error_of(told)
        assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "x")
        assert error["message"].startswith("Cancellation failed")
        if not active:
            desk.answer_begins()


def test_a_response_that_has_not_begun_is_cancelled_too() -> None:
    desk = Desk()
    desk.send("response.create")
    (created,) = desk.happen(AnswerWanted(desk.asked(AskAnswer)[-1].key, accepted=True))
    (done,) = desk.send("response.cancel", response_id=created["response"]["id"])
    assert (done["response"]["status"], done["response"]["output"]) == ("cancelled", [])
    assert error_of(desk.send("response.cancel"))["code"] == "response_cancel_not_active"


def test_a_response_that_has_begun_is_cancelled_by_the_session() -> None:
    desk = Desk()
    desk.answer_begins()
    assert desk.send("response.cancel") == []
    assert desk.asked(ChatCancel) == [ChatCancel(answer=1)]


def test_that_a_turn_is_stored_is_nothing_that_clients_know() -> None:
    assert Desk().happen(TurnStored(turn=1, source="typed")) == []


def test_a_cancel_that_comes_too_late_does_not_hit_the_next_response() -> None:
    desk = Desk()
    desk.answer_begins()
    check, cancel = desk.dialect.on_text('{"type": "response.cancel", "event_id": "late"}')
    desk.happen(chat_done(1, ""))
    desk.send("response.create")
    desk.happen(AnswerWanted(desk.asked(AskAnswer)[-1].key, accepted=True))
    assert cancel == ChatCancel(answer=1)
    assert isinstance(check, Later)
    (refused,) = map(json.loads, check.spell())
    assert (refused["error"]["code"], refused["error"]["event_id"]) == ("response_cancel_not_active", "late")


@pytest.mark.parametrize(
    ("metadata", "param"),
    [
        ({"topic": None}, "response.metadata"),
        ({"topic": {"a": {}}}, "response.metadata"),
        ({"k" * 65: "v"}, "response.metadata"),
        ({"k": "v" * 513}, "response.metadata"),
        ({str(number): "v" for number in range(17)}, "response.metadata"),
    ],
)
def test_metadata_that_could_not_be_told_back_are_refused(metadata: object, param: str) -> None:
    desk = Desk()
    error = error_of(desk.send("response.create", response={"metadata": metadata}))
    assert error["code"] == "invalid_value"
    assert error["param"].startswith(param)
    assert desk.asked(AskAnswer) == []
