"""What a client that comes back says of its session, and what the bus has of it: the plan of how it goes on."""

from random import Random

from bus.contract.client_protocol import SessionResume
from bus.contract.errors import HarkenError
from bus.contract.records import ChatTurn, Record, SessionResumed, decode_record
from bus.contract.session_record import SessionRecord, decode_session_record
from stream_gateway.audio.formats import check_audio
from stream_gateway.chat.resumption import resume_chat
from stream_gateway.dialects.base import Handshake
from stream_gateway.dialects.native import NativeDialect
from stream_gateway.session.config import check_start
from stream_gateway.session.resumption import check_resume, may_resume, plan_resumption
from tests.fuzz.judges import NativeJudge
from tests.fuzz.mutation import json_mutator
from tests.fuzz.seeds import golden
from tests.fuzz.surfaces.frames import LIMITS
from tests.fuzz.target import Target

_RESUMES = json_mutator(golden("client_session_resume"))
_KEYS = json_mutator(golden("session_record"))
_RECORDS = json_mutator(golden("transcript_final", "segment_failed", "session_resumed", "chat_turn"))
_MAX_RECORDS = 6


def _made(random: Random) -> bytes:
    """The message, the session's key, then its records, one a line."""
    lines = [_RESUMES.make(random), _KEYS.make(random)]
    return b"\n".join([*lines, *(_RECORDS.make(random) for _ in range(random.randrange(_MAX_RECORDS)))])


def _planned(data: bytes) -> None:
    message, key, *lines = (data + b"\n").split(b"\n")
    dialect = NativeDialect(Handshake(path="/v1/stream", limits=LIMITS))
    (resume,) = dialect.on_text(message.decode(errors="replace"))
    if not isinstance(resume, SessionResume):
        return
    check_resume(resume)
    record = decode_session_record(key)
    may_resume(record, resume.token, now_utc=0.0)
    check_start(record.start)
    if record.start.audio is not None:
        check_audio(record.start.audio)
    _check(resume, record, _stored_once([decode_record(line) for line in lines if line]), dialect)


def _stored_once(records: list[Record]) -> list[Record]:
    """The broker keeps one of each."""
    names = [_name(one) for one in records]
    return [one for index, one in enumerate(records) if names[index] not in names[:index]]


def _check(resume: SessionResume, record: SessionRecord, records: list[Record], dialect: NativeDialect) -> None:
    start = record.start
    chat = resume_chat(record, records, resume.answer, 1, resume.segments) if start.chat is not None else None
    seq = resume.seq
    for channels in (1, 2) if start.audio is not None else (0,):
        rate_hz = start.audio.sample_rate if start.audio is not None else 1
        plan = plan_resumption(resume, records, epoch=1, channels=channels, rate_hz=rate_hz, chat=chat)
        judge = NativeJudge(seq=seq)
        for text in (text for event in plan.missed for text in dialect.render(event)):
            judge.see(text)
            seq += 1
        assert plan.audio_offset >= (resume.offset if channels else 0), "the client is asked for what it has forgotten"
        assert plan.outset.begin_sample >= 0


def _name(record: Record) -> tuple[str, int]:
    match record:
        case ChatTurn(turn=turn):
            return "turn", turn
        case SessionResumed(epoch=epoch):
            return "epoch", epoch
        case _:
            return "segment", record.segment


TARGETS = (Target("resumption.plan", _made, _planned, (HarkenError, ValueError)),)
