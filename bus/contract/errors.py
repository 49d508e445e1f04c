"""All errors that a client can meet. Each knows whose fault it is, whether to retry, and how it looks on a socket.

HarkenError
 |- ClientError                 the sender must change something
 |   |- InvalidMessage          bad JSON, a missing field, a value outside its range
 |   |- UnknownMessageType
 |   |- UnsupportedAudio        encoding, sample rate or channels
 |   |- AudioBeforeStart
 |   |- BadContainer            garbage or truncated file
 |   |- FrameTooLarge
 |   |- UnknownModel
 |   |- NoChat
 |   |- NothingToAnswer
 |   |- Unauthorized
 |   |- StartTimeout, IdleTimeout, SessionTooLong
 |   |- CannotResume            an unknown session, a wrong or old token
 |   |- SessionTaken            the session goes on on another socket
 |   `- ClientTooSlow
 `- ServiceError                the service's state; the same request may work later
     |- NoWorker
     |- BusUnavailable
     |- Overloaded
     |- Draining
     |- DecodeFailed
     |- ChatFailed
     `- InternalError

docs/errors.md is this table for readers; a test keeps the two equal. Texts name what was wrong and what is
accepted, and hold no user words.
"""

from typing import ClassVar, Literal


class HarkenError(Exception):
    """Base. `close_code` is what a socket shows if the error ends the session."""

    code: ClassVar[str] = "internal"
    fault: ClassVar[Literal["client", "service"]] = "service"
    retryable: ClassVar[bool] = True
    close_code: ClassVar[int] = 1011

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ClientError(HarkenError):
    """The sender must change something before it tries again."""

    fault = "client"
    retryable = False
    close_code = 4400


class InvalidMessage(ClientError):
    """A text frame that is not valid JSON, lacks a field or holds a value outside its range."""

    code = "invalid_message"


class UnknownMessageType(ClientError):
    """A text frame of a type that the protocol does not know."""

    code = "unknown_message_type"


class UnsupportedAudio(ClientError):
    """An encoding, sample rate or channel count outside what is accepted."""

    code = "unsupported_audio"
    close_code = 4415


class AudioBeforeStart(ClientError):
    """A binary frame before `session.start`."""

    code = "audio_before_start"


class BadContainer(ClientError):
    """Bytes that no demuxer recognises, or a file that ends in the middle."""

    code = "bad_container"
    close_code = 4415


class FrameTooLarge(ClientError):
    """A WebSocket frame above the announced limit."""

    code = "frame_too_large"
    close_code = 1009


class UnknownModel(ClientError):
    """A model that no live worker announces."""

    code = "unknown_model"
    close_code = 4404


class NoChat(ClientError):
    """A chat message in a session whose `session.start` has no `chat`, or audio in one that has no audio."""

    code = "no_chat"


class NothingToAnswer(ClientError):
    """`chat.request` where nothing was said or typed since the last answer."""

    code = "nothing_to_answer"


class Unauthorized(ClientError):
    """A missing or wrong key; answered with HTTP 401 before the upgrade."""

    code = "unauthorized"
    close_code = 4401


class StartTimeout(ClientError):
    """A socket that did not send `session.start` in time."""

    code = "start_timeout"
    close_code = 4408


class IdleTimeout(ClientError):
    """A session that sent no audio for too long."""

    code = "idle_timeout"
    close_code = 4408
    retryable = True


class SessionTooLong(ClientError):
    """A session at its maximum duration; its finals were delivered."""

    code = "session_too_long"
    close_code = 4409
    retryable = True


class CannotResume(ClientError):
    """A session that is not known, or a token that is not its own or too old: start a new one."""

    code = "cannot_resume"
    close_code = 4410


class SessionTaken(ClientError):
    """The client, or whoever has its token, has taken the session up on another socket."""

    code = "session_taken"
    close_code = 4412


class ClientTooSlow(ClientError):
    """A reader so slow that finals could not be queued for it."""

    code = "client_too_slow"
    close_code = 4429
    retryable = True


class ServiceError(HarkenError):
    """The service's state; the same request may work later."""


class NoWorker(ServiceError):
    """No live worker can decode for this session."""

    code = "no_worker"
    close_code = 1013


class BusUnavailable(ServiceError):
    """The gateway has no connection to NATS."""

    code = "bus_unavailable"
    close_code = 1013


class Overloaded(ServiceError):
    """A limit of the process or of the pool is reached."""

    code = "overloaded"
    close_code = 1013


class Draining(ServiceError):
    """The gateway is going away; another one takes new sessions."""

    code = "draining"
    close_code = 1012


class DecodeFailed(ServiceError):
    """A segment had no result after all retries."""

    code = "decode_failed"
    retryable = False


class ChatFailed(ServiceError):
    """An answer that broke off, or had no worker, after all retries; the turn stays."""

    code = "chat_failed"


class InternalError(ServiceError):
    """A fault of ours; the log has the details."""

    code = "internal"
