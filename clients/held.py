"""What a client has of its session, as it tells the service that takes the session up. Pure."""

from bus.contract.client_protocol import (
    ChatCancelled,
    ChatDelta,
    ChatDone,
    ChatFailed,
    ChatStarted,
    HeldAnswer,
    ServerEvent,
    SessionResume,
    TranscriptFailed,
    TranscriptFinal,
)


class HeldEvents:
    """Follows the events of a session, and sums them up. One owner."""

    def __init__(self) -> None:
        self.last_seq: int | None = None
        self.missed_events = 0
        """Gaps seen in `seq`, in events."""
        self.results = 0
        """Events that the service has made something durable for: how far the session has come."""
        self._segments: list[int] = []
        self._answer: int | None = None
        self._answer_text: list[str] = []
        self._answer_is_over = False

    def has_channels(self, channels: int) -> None:
        """Learn how many channels are transcribed."""
        self._segments = [0] * channels

    def is_news(self, seq: int | None) -> bool:
        """Note the number of an event; False if it, or a later one, came before."""
        if seq is None:
            return True
        last = self.last_seq
        if last is not None and seq <= last:
            return False
        self.last_seq = seq
        self.missed_events += 0 if last is None else seq - last - 1
        return True

    def on_event(self, event: ServerEvent) -> None:
        """Note an event that is handed on."""
        match event:
            case TranscriptFinal(segment=segment, channel=channel) | TranscriptFailed(segment=segment, channel=channel):
                self.results += 1
                if channel < len(self._segments):
                    self._segments[channel] = max(self._segments[channel], segment)
            case ChatStarted(answer=answer):
                self._answer, self._answer_is_over = answer, False
                self._answer_text.clear()
            case ChatDelta(answer=answer, text=text) if answer == self._answer:
                self._answer_text.append(text)
            case ChatDone(answer=answer) | ChatCancelled(answer=answer) | ChatFailed(answer=answer):
                self.results += 1
                self._answer, self._answer_is_over = answer, True
                self._answer_text.clear()
            case _:
                pass

    @property
    def running_answer(self) -> int | None:
        """The answer that has begun and has no end yet."""
        return None if self._answer_is_over else self._answer

    def resume(self, *, session: str, token: str, offset: int) -> SessionResume:
        """Give the message that takes the session up, with audio from `offset` on at hand."""
        answer = None
        if self._answer is not None:
            text = None if self._answer_is_over else "".join(self._answer_text)
            answer = HeldAnswer(answer=self._answer, text=text)
        return SessionResume(
            session=session,
            token=token,
            seq=self.last_seq or 0,
            offset=offset,
            segments=tuple(self._segments),
            answer=answer,
        )
