"""What the session tells, as events of OpenAI Realtime; some of it these clients do not know."""

from collections.abc import Sequence
from typing import Final, TypeAlias, assert_never

from bus.contract.errors import ClientError, Draining, HarkenError, IdleTimeout, SessionTooLong
from stream_gateway.dialects.openai_responses import Responses
from stream_gateway.dialects.openai_speech import SpokenItems
from stream_gateway.dialects.openai_wire import Event, error_event
from stream_gateway.session import events

_AnswerEvent: TypeAlias = (
    events.AnswerWanted
    | events.ChatStarted
    | events.ChatDelta
    | events.ChatDone
    | events.ChatCancelled
    | events.ChatFailed
)
_SpeechEvent: TypeAlias = (
    events.SpeechStarted
    | events.SpeechEnded
    | events.SpeechCleared
    | events.CommitDone
    | events.Partial
    | events.Final
    | events.Failed
)
_DONE: Final = 1000
_POLICY_VIOLATION: Final = 1008
_OWN_CODES: Final = 4000
_TIME_IS_UP: Final = (IdleTimeout.close_code, SessionTooLong.close_code)


def close_of(code: int) -> int:
    """Our own codes mean nothing to these clients: a session whose time is up is done, others broke a rule."""
    if code < _OWN_CODES:
        return code
    return _DONE if code in _TIME_IS_UP else _POLICY_VIOLATION


def events_of(event: events.SessionEvent, *, speech: SpokenItems | None, responses: Responses) -> Sequence[Event]:
    """Translate one session event. `speech` is there once the session has started."""
    match event:
        case events.Fault(error, fatal):
            return _fault(error, fatal=fatal)
        case events.Started() | events.Committed() | events.Flushed() | events.DrainNotice() | events.Ended():
            return []
        case events.TurnStored():
            return []
        case events.Spelled() | events.Deferred() | events.Missed():
            raise AssertionError("what dialects spell themselves, or never ask for, is not rendered")
        case (
            events.AnswerWanted()
            | events.ChatStarted()
            | events.ChatDelta()
            | events.ChatDone()
            | events.ChatCancelled()
            | events.ChatFailed()
        ):
            return _of_answer(event, responses)
        case _:
            assert speech is not None, "nothing is said before the start"
            return _of_speech(event, speech)


def _of_answer(event: _AnswerEvent, responses: Responses) -> Sequence[Event]:
    match event:
        case events.AnswerWanted(key, accepted):
            return responses.on_wanted(key, accepted=accepted)
        case events.ChatStarted(answer):
            return responses.on_started(answer)
        case events.ChatDelta(text=text):
            return responses.on_delta(text)
        case events.ChatDone():
            return responses.on_done(event)
        case events.ChatCancelled(reason=reason):
            return responses.on_cancelled(reason)
        case events.ChatFailed(error=error):
            return responses.on_failed(error.code)
        case _:
            assert_never(event)


def _of_speech(event: _SpeechEvent, speech: SpokenItems) -> Sequence[Event]:
    match event:
        case events.SpeechStarted(segment, _, start_s):
            return speech.on_started(segment, start_s)
        case events.SpeechEnded(segment, _, end_s):
            return speech.on_ended(segment, end_s)
        case events.SpeechCleared(segment):
            speech.on_cleared(segment)
            return []
        case events.CommitDone(ended):
            return speech.on_commit_done(ended=ended)
        case events.Partial(segment=segment, stable=stable):
            return speech.on_partial(segment, stable)
        case events.Final(segment=segment, start_s=start_s, end_s=end_s, text=text):
            return speech.on_final(segment, text, end_s - start_s)
        case events.Failed(segment=segment, code=code, message=message):
            return speech.on_failed(segment, code, message)
        case _:
            assert_never(event)


def _fault(error: HarkenError, *, fatal: bool) -> Sequence[Event]:
    """What the service recovers from by itself is a pause to these clients, for some give up at any `error`.

    A drain they see by its close code.
    """
    if not isinstance(error, ClientError) and (not fatal or isinstance(error, Draining)):
        return []
    kind = "invalid_request_error" if isinstance(error, ClientError) else "server_error"
    code = "session_expired" if error.close_code in _TIME_IS_UP else error.code
    return [error_event(error.message, code=code, kind=kind)]
