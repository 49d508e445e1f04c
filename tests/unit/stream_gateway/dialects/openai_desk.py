"""One OpenAI dialect with a session that tests play: what it asks for, and what its client is told, in order."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from bus.contract.client_protocol import ChatTimes, ChatUsage, Limits, StageTimes
from stream_gateway.chat.commands import AskAnswer
from stream_gateway.dialects.base import Action, Handshake, Later, Reply
from stream_gateway.dialects.openai_realtime import OpenAiDialect
from stream_gateway.session import events
from tests.openai_models import check_strictly

LIMITS = Limits(max_frame_bytes=1_000_000, max_session_s=60.0, idle_timeout_s=10.0, max_buffered_audio_s=30.0)
STAGES = StageTimes(endpoint_s=0, queue_s=0, batch_wait_s=0, encode_s=0, decode_s=0, publish_s=0, total_s=0)
MANUAL = {"audio": {"input": {"turn_detection": None}}}
TRANSCRIPTION = "conversation.item.input_audio_transcription"


def final(segment: int, text: str, *, start_s: float = 1.0, end_s: float = 3.0) -> events.Final:
    return events.Final(segment, 0, start_s, end_s, text, (), "en", "base", STAGES)


def partial(segment: int, stable: str, rest: str = "") -> events.Partial:
    return events.Partial(segment, 0, 1.0, 2.0, stable, stable + rest, "en", 0.1)


def chat_done(answer: int, text: str, *, reason: str = "stop") -> events.ChatDone:
    return events.ChatDone(
        answer=answer,
        text=text,
        finish_reason=reason,  # type: ignore[arg-type]
        usage=ChatUsage(prompt_tokens=11, completion_tokens=5, cached_tokens=4),
        times=ChatTimes(queue_s=0, prefill_s=0, first_delta_s=0, total_s=0),
        model="m",
    )


class Desk:
    def __init__(
        self, query: str = "", *, headers: Mapping[str, str] | None = None, session: Mapping[str, Any] | None = None
    ) -> None:
        fields = [pair.partition("=") for pair in query.split("&")]
        handshake = Handshake(
            path="/v1/realtime",
            query={name: [value] for name, _, value in fields if name},
            headers=headers or {},
            limits=LIMITS,
        )
        self._is_beta = bool(headers)
        self.dialect = OpenAiDialect(handshake, nonce="0")
        self.told: list[dict[str, Any]] = []
        self.actions: list[Action] = []
        """What was asked of the session."""
        self._take(self.dialect.on_open())
        if session is not None:
            self.send("session.update", session=session)

    def send(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """What the client is told at once; what the session is asked for is in `actions`."""
        return self.send_text(json.dumps({"type": kind, **fields}))

    def send_text(self, text: str) -> list[dict[str, Any]]:
        return self._take(self.dialect.on_text(text))

    def send_bytes(self, data: bytes) -> list[dict[str, Any]]:
        return self._take(self.dialect.on_binary(data))

    def happen(self, *happened: events.SessionEvent) -> list[dict[str, Any]]:
        """What the client is told of what the session does."""
        since = len(self.told)
        for event in happened:
            self._keep(self.dialect.render(event))
        return self.told[since:]

    def append(self, audio: bytes = bytes(9600)) -> None:
        self.send("input_audio_buffer.append", audio=base64.b64encode(audio).decode())

    def say(self, text: str, **fields: Any) -> list[dict[str, Any]]:
        content = [{"type": "input_text", "text": text}]
        return self.send(
            "conversation.item.create", item={"type": "message", "role": "user", "content": content, **fields}
        )

    def asked(self, kind: type) -> list[Any]:
        return [action for action in self.actions if isinstance(action, kind)]

    def answer_begins(self, **response: Any) -> dict[str, Any]:
        """A response that the client asked for, as it is created."""
        self.send("response.create", response=response)
        key = self.asked(AskAnswer)[-1].key
        (created,) = self.happen(events.AnswerWanted(key, accepted=True))
        self.happen(events.ChatStarted(1, "m"))
        view: dict[str, Any] = created["response"]
        return view

    def _take(self, actions: Sequence[Action]) -> list[dict[str, Any]]:
        since = len(self.told)
        for action in actions:
            match action:
                case Reply(text):
                    self._keep([text])
                case Later(spell):
                    self._keep(spell())
                case _:
                    self.actions.append(action)
        return self.told[since:]

    def _keep(self, texts: Sequence[str]) -> None:
        for text in texts:
            event = json.loads(text)
            assert event["event_id"] not in {one["event_id"] for one in self.told}
            self.told.append(event)
            if not self._is_beta:
                check_strictly(event)


def kinds(told: Sequence[Mapping[str, Any]]) -> list[str]:
    return [event["type"] for event in told]


def error_of(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    (event,) = told
    assert event["type"] == "error"
    error: dict[str, Any] = event["error"]
    return error
