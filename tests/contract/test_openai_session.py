"""A session of the OpenAI dialect, pinned frame by frame: `>` is sent by the client, `*` happens, `<` it is told.

The file was recorded once and is never written by a test: a change in it is one that clients see.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

from stream_gateway.chat.commands import AskAnswer
from stream_gateway.session import events
from tests.unit.stream_gateway.dialects.openai_desk import Desk, chat_done, final, partial

GOLDEN = Path(__file__).parent / "sessions" / "openai_realtime.txt"


def a_session() -> Iterator[str]:
    """Speech that is answered, an answer that is interrupted, and one that is asked for."""
    desk = Desk("model=gpt-realtime")
    told = 0

    def log(line: str) -> Iterator[str]:
        nonlocal told
        yield line
        for event in desk.told[told:]:
            yield f"< {json.dumps(event)}"
        told = len(desk.told)

    def sent(kind: str, **fields: object) -> Iterator[str]:
        desk.send(kind, **fields)
        yield from log(f"> {json.dumps({'type': kind, **fields})}")

    def happened(event: events.SessionEvent) -> Iterator[str]:
        desk.happen(event)
        yield from log(f"* {type(event).__name__}")

    yield from log("* open")
    detection = {"type": "server_vad", "silence_duration_ms": 400}
    yield from sent(
        "session.update",
        session={"type": "realtime", "instructions": "Be brief.", "audio": {"input": {"turn_detection": detection}}},
    )
    yield from sent("input_audio_buffer.append", audio=base64.b64encode(bytes(6)).decode())
    spoken: tuple[events.SessionEvent, ...] = (
        events.SpeechStarted(1, 0, 1.0),
        partial(1, "What time"),
        events.SpeechEnded(1, 0, 2.5),
        final(1, "What time is it?", start_s=0.7, end_s=2.6),
        events.ChatStarted(1, "m"),
        events.ChatDelta(1, "It is"),
        events.SpeechStarted(2, 0, 4.0),
        events.ChatCancelled(1, "It is", "speech"),
        events.SpeechEnded(2, 0, 4.5),
        events.Failed(2, 0, 3.9, 4.6, "decode_failed", "the window could not be decoded"),
    )
    for event in spoken:
        yield from happened(event)
    yield from sent("input_audio_buffer.commit", event_id="early")
    content = [{"type": "input_text", "text": "In Rome?"}]
    item = {"id": "typed", "type": "message", "role": "user", "content": content}
    yield from sent("conversation.item.create", item=item)
    yield from sent("response.create", response={"metadata": {"topic": "time"}, "max_output_tokens": 20})
    answered: tuple[events.SessionEvent, ...] = (
        events.AnswerWanted(desk.asked(AskAnswer)[-1].key, accepted=True),
        events.ChatStarted(2, "m"),
        events.ChatDelta(2, "Noon."),
        chat_done(2, "Noon."),
    )
    for event in answered:
        yield from happened(event)
    yield from sent("conversation.item.retrieve", item_id="typed")
    yield from sent("conversation.item.delete", item_id="typed")
    yield from sent("response.cancel", event_id="late")


def test_a_session_never_changes_on_the_wire() -> None:
    assert list(a_session()) == GOLDEN.read_text(encoding="utf-8").splitlines()
