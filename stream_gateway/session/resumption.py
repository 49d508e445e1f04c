"""How a session goes on with what the bus has of it: what its client has missed, and where audio begins again. Pure.

Theory of operation. The records are what happened; the client says what it has seen of that. Records of a channel are
stored in order, so that audio before the end of its newest segment is accounted for, and later audio is not, whoever
has decoded it meanwhile. The client can send what was not committed, and may be asked for less. It is told of every
record that it has not seen, in the order of the records, and then the session is as it was, but for utterances that
were open: those begin again.
"""

import hmac
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from bus.contract.client_protocol import MAX_CHANNELS, SessionResume, StageTimes
from bus.contract.errors import InvalidMessage
from bus.contract.records import Record, SegmentFailed, TranscriptFinal
from bus.contract.session_record import SessionRecord
from bus.contract.work import SAMPLE_RATE_HZ
from stream_gateway.chat.resumption import ChatResumption, MissedEvent
from stream_gateway.session.events import SessionEvent
from stream_gateway.session.final_record import failed_of, final_of
from stream_gateway.session.outset import ChannelOutset, Outset

_MAX_NUMBER = 2**53
"""Beyond it a JSON number is no longer exact everywhere."""
_MAX_SEGMENT = 2**20
"""More than a session can have."""
_MAX_ANSWER_CHARS = 200_000
"""More than an answer can have; four bytes each are still less than the broker takes in one message."""
_NO_TIMES = StageTimes(
    endpoint_s=0.0, queue_s=0.0, batch_wait_s=0.0, encode_s=0.0, decode_s=0.0, publish_s=0.0, total_s=0.0
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """The plan."""

    outset: Outset
    audio_offset: int
    """The same as `outset.begin_sample` in the client's own samples: rounded down, so that nothing is left out."""
    missed: tuple[SessionEvent, ...] = field(repr=False)
    """What the client has not seen, in order."""
    chat: ChatResumption | None = None
    """None without chat."""


def digest(token: str) -> str:
    """What is kept of a token."""
    return sha256(token.encode()).hexdigest()


def may_resume(record: SessionRecord, token: str, *, now_utc: float) -> bool:
    """Whether this token takes the session over; takes the same time for every wrong one."""
    is_its_own = hmac.compare_digest(digest(token).encode(), record.token_sha256.encode())
    return is_its_own and now_utc < record.expires_at


def check_resume(resume: SessionResume) -> None:
    """Raise InvalidMessage that names the first field outside its range."""
    if not 0 <= resume.seq < _MAX_NUMBER:
        raise InvalidMessage(f"seq must be from 0 to {_MAX_NUMBER - 1}")
    if not 0 <= resume.offset < _MAX_NUMBER:
        raise InvalidMessage(f"offset must be from 0 to {_MAX_NUMBER - 1}")
    if len(resume.segments) > MAX_CHANNELS:
        raise InvalidMessage(f"segments has one number for each channel, {MAX_CHANNELS} at most")
    if not all(0 <= segment < _MAX_SEGMENT for segment in resume.segments):
        raise InvalidMessage(f"segments must be from 0 to {_MAX_SEGMENT - 1}")
    if resume.answer is not None and not 1 <= resume.answer.answer < _MAX_NUMBER:
        raise InvalidMessage(f"answer.answer must be from 1 to {_MAX_NUMBER - 1}")
    if resume.answer is not None and len(resume.answer.text or "") > _MAX_ANSWER_CHARS:
        raise InvalidMessage(f"answer.text may have {_MAX_ANSWER_CHARS} characters")


def plan_resumption(
    resume: SessionResume,
    records: Sequence[Record],
    *,
    epoch: int,
    channels: int,
    rate_hz: int,
    chat: ChatResumption | None = None,
) -> Resumption:
    """`records` are all of the session; `chat` is how its chat goes on.

    `rate_hz` is that in which the client counts; without audio `channels` is 0.
    """
    held = [resume.segments[channel] if channel < len(resume.segments) else 0 for channel in range(channels)]
    outsets = [_outset_of(channel, held[channel], records) for channel in range(channels)]
    accounted = min((one.heard_sample for one in outsets), default=0)
    audio_offset = max(resume.offset, accounted * rate_hz // SAMPLE_RATE_HZ) if channels else 0
    return Resumption(
        outset=Outset(
            epoch=epoch,
            begin_sample=round(audio_offset * SAMPLE_RATE_HZ / rate_hz),
            channels=outsets,
            recorded=frozenset(one.segment for one in records if isinstance(one, TranscriptFinal | SegmentFailed)),
            language=_language(records),
        ),
        audio_offset=audio_offset,
        missed=_missed(records, held, chat.missed if chat is not None else ()),
        chat=chat,
    )


def _outset_of(channel: int, held_segment: int, records: Sequence[Record]) -> ChannelOutset:
    newest = next((one for one in reversed(records) if _is_of(one, channel)), None)
    if not isinstance(newest, TranscriptFinal | SegmentFailed):
        return ChannelOutset(held_segment)  # the client may know of some that the bus has forgotten
    return ChannelOutset(max(newest.segment, held_segment), round(newest.until_s * SAMPLE_RATE_HZ))


def _is_of(record: Record, channel: int) -> bool:
    return isinstance(record, TranscriptFinal | SegmentFailed) and record.channel == channel


def _language(records: Sequence[Record]) -> str | None:
    finals = (one for one in reversed(records) if isinstance(one, TranscriptFinal) and one.text)
    return next((one.language for one in finals if one.language is not None), None)


def _missed(records: Sequence[Record], held: Sequence[int], of_chat: Sequence[MissedEvent]) -> tuple[SessionEvent, ...]:
    missed: list[SessionEvent] = []
    left = deque(of_chat)
    for index, record in enumerate(records):
        if isinstance(record, TranscriptFinal | SegmentFailed) and not _is_held(record, held):
            missed.append(failed_of(record) if isinstance(record, SegmentFailed) else final_of(record, _NO_TIMES))
        while left and left[0].index == index:
            missed.append(left.popleft().event)
    return (*missed, *(one.event for one in left))


def _is_held(record: TranscriptFinal | SegmentFailed, held: Sequence[int]) -> bool:
    """Whether the client has it, or has no such channel."""
    return record.channel not in range(len(held)) or record.segment <= held[record.channel]
