"""What a client reads of a service: events of a session, refusals, what a close means."""

from random import Random

from websockets.datastructures import Headers
from websockets.http11 import Response

from bus.contract.client_protocol import ChatOptions, ChatRequest, ChatSend, SessionStart
from bus.contract.errors import HarkenError
from clients.answers import AnswerDesk, ExpectedAnswer
from clients.connecting import _refusal
from clients.session import ClientSession, Phase
from tests.fuzz.mutation import json_mutator, mutated
from tests.fuzz.seeds import golden
from tests.fuzz.target import Target

_STARTED = golden("event_session_started")[0]
_EVENTS = json_mutator(golden("event_"))
_OPENING = json_mutator([_STARTED])
_REFUSED = (
    b'503\n1\n{"error":{"code":"overloaded","message":"this gateway holds its limit"}}',
    b'401\n\n{"error":{"code":"unauthorized","message":"a valid key is needed"}}',
    b"404\n\n<html></html>",
)


def _events_made(random: Random) -> bytes:
    """A session, one event a line: most begin as they should."""
    first = _STARTED if random.random() < 0.8 else _OPENING.make(random)
    return b"\n".join([first, *(_EVENTS.make(random) for _ in range(random.randrange(6)))])


def _events(data: bytes) -> None:
    session = ClientSession(SessionStart(chat=ChatOptions()))
    desk = AnswerDesk()
    committed = 0
    for number, line in enumerate(data.split(b"\n")):
        event = session.on_text(line.decode(errors="replace"))
        assert (session.failure is not None) == (session.phase is Phase.FAILED)
        if event is not None:
            desk.on_event(event)
        if session.phase is Phase.OPEN:
            desk.expect(ChatSend(text="x") if number % 2 else ChatRequest(), ExpectedAnswer() if number % 2 else None)
        assert session.committed_offset >= committed
        committed = session.committed_offset
    session.on_close(len(data), "reason")
    assert (session.failure is not None) == (session.phase is Phase.FAILED)


def _refusals(data: bytes) -> None:
    status, retry_after, body = (data.split(b"\n", 2) + [b"", b""])[:3]
    code = int(status) if status.isdigit() and len(status) == 3 else 500
    fields = Headers()
    if retry_after:
        fields.set_insecure("Retry-After", retry_after.decode("iso-8859-1"))
    refusal = _refusal("ws://h/v1/stream", Response(code, "", fields, body))
    assert isinstance(refusal, HarkenError)
    str(refusal).encode(errors="strict")


TARGETS = (
    Target("client.events", _events_made, _events),
    Target("client.refusals", mutated(_REFUSED), _refusals),
)
