"""What comes over the bus: work, results, chat, heartbeats, records, advisories, subjects, JetStream's replies."""

import math
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from bus.contract import chat_work, presence, records, session_record, subjects, work
from bus.contract.advisories import decode_given_up
from bus.contract.errors import HarkenError
from bus.control.roster import Roster
from bus.transport.jetstream_api import parse_direct, parse_reply, parse_stored
from bus.transport.pull_protocol import PullOutcome, read_status
from tests.fuzz.mutation import json_mutator, msgpack_mutator, mutated
from tests.fuzz.seeds import golden
from tests.fuzz.target import Target

_GIVEN_UP = (
    b'{"type":"x","stream":"ASR_FINAL","consumer":"asr_std","stream_seq":7,"deliveries":4,"id":"a","domain":null}'
)
_REPLIES = (
    b'{"stream":"ASR_FINAL","seq":7,"duplicate":true,"domain":"d"}',
    b'{"type":"r","error":{"code":404,"err_code":10059,"description":"stream not found"}}',
    b'{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}',
    b'{"type":"r","num_pending":3,"delivered":{"consumer_seq":1,"stream_seq":9},"config":{"name":"asr_std"}}',
)
_SUBJECTS = (b"inbox.gw.g1.s1", b"inbox.chat.g1.s1", b"transcripts.t1.s1", b"asr.final.std.t1.s1", b"inbox.gw.g1.s1.x")
_DIRECT = (
    b'Nats-Stream: TRANSCRIPTS\nHarken-Epoch: 2\nNats-Sequence: 7\nNats-Msg-Id: s1:1:final\n\n{"type":"x"}',
    b"Status: 204\nDescription: EOB\nNats-Num-Pending: 3\nNats-Last-Sequence: 9\n\n",
    b"Status: 404\nDescription: Message Not Found\n\n",
)
_STATUSES = (b"100\tIdle Heartbeat", b"404\tNo Messages", b"409\tLeadership Change", b"409\tConsumer Deleted", b"503\t")
_NAMES: tuple[Callable[[str], str], ...] = (
    subjects.asr_consumer,
    subjects.cancel_llm,
    subjects.inbox_all,
    subjects.llm_direct,
    subjects.takeover,
    lambda text: subjects.transcripts(text, text),
    lambda text: subjects.session_record(text, text),
)


def _decoded(decode: Callable[[bytes], Any], encode: Callable[[Any], bytes], data: bytes) -> Any:
    """What is taken is whole: it says the same when it is sent on, and holds no number that is none."""
    message = decode(data)
    again = encode(message)
    assert decode(again) == message, "encoding it again changes it"
    assert all(map(math.isfinite, _floats(msgspec.to_builtins(message)))), "not a number"
    return message


def _floats(tree: Any) -> list[float]:
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list | tuple) else ()
    return [one for child in children for one in _floats(child)] + ([tree] if isinstance(tree, float) else [])


def _work(data: bytes) -> None:
    for decode in (_result, work.decode_cancel):
        try:
            _decoded(decode, work.encode, data)
        except ValueError:
            continue
    request = _decoded(work.decode_request, work.encode, data)
    subjects.inbox(request.gateway, request.session)


def _result(data: bytes) -> work.AsrResult:
    """Without the two numbers that are for people to look at, and may be anything."""
    return msgspec.structs.replace(work.decode_result(data), no_speech_probability=0.0, average_log_probability=0.0)


def _chat(data: bytes) -> None:
    for decode in (chat_work.decode_chat_reply, chat_work.decode_chat_cancel):
        try:
            _decoded(decode, chat_work.encode_chat, data)
        except ValueError:
            continue
    request = _decoded(chat_work.decode_chat_request, chat_work.encode_chat, data)
    subjects.chat_inbox(request.gateway, request.session)


def _presence(data: bytes) -> None:
    heard = _decoded(presence.decode_presence, presence.encode_presence, data)
    roster = Roster(kind="LLM")
    roster.on_presence(heard, now=1.0)
    for model in (None, heard.model, *heard.aliases[:2], "other"):
        try:
            subjects.llm_request_pool(roster.pool_for(model, now=1.5).pool)
        except HarkenError:
            continue
    if (preferred := roster.presence(heard.worker, now=1.5)) is not None:
        subjects.llm_direct(preferred.worker)
    assert roster.slots(heard.pool, now=1.5) >= 0
    assert roster.expire(now=9.0) == (heard.worker,)


def _records(data: bytes) -> None:
    _decoded(records.decode_record, records.encode_record, data)


def _session_record(data: bytes) -> None:
    try:
        _decoded(session_record.decode_takeover, session_record.encode_session, data)
    except ValueError:
        pass
    _decoded(session_record.decode_session_record, session_record.encode_session, data)


def _advisories(data: bytes) -> None:
    decode_given_up(data)


def _subject(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    for name in _NAMES:
        try:
            spelled = name(text)
        except ValueError:
            continue
        assert not set(text) & set(" .*>\r\n\t"), f"a name that is no token was taken into {spelled!r}"
    for parse in (subjects.parse_inbox, subjects.parse_chat_inbox):
        try:
            parse(text)
        except ValueError:
            continue


def _jetstream(data: bytes) -> None:
    try:
        parse_reply(data)
    except HarkenError:
        pass
    parse_stored(data)


def _direct(data: bytes) -> None:
    """A header a line, then an empty line, then the message: as the NATS client hands them over."""
    head, _, body = data.partition(b"\n\n")
    fields = dict(line.partition(": ")[::2] for line in head.decode(errors="surrogateescape").split("\n"))
    parse_direct(fields, body)


def _status(data: bytes) -> None:
    status, _, description = data.decode(errors="surrogateescape").partition("\t")
    assert isinstance(read_status(status, description), PullOutcome)


def _identifiers(random: Random) -> bytes:
    return bytes(random.choice(b"aZ0_-. *>\n\x00\xc3\xa9") for _ in range(random.choice((0, 1, 3, 9, 64, 65))))


TARGETS = (
    Target("bus.work", msgpack_mutator(golden("asr_")).make, _work, (ValueError,)),
    Target(
        "bus.chat",
        msgpack_mutator(golden("chat_re", "chat_ta", "chat_de", "chat_do", "chat_fa", "chat_ca")).make,
        _chat,
        (ValueError,),
    ),
    Target("bus.presence", msgpack_mutator(golden("worker_presence")).make, _presence, (ValueError,)),
    Target(
        "bus.records",
        json_mutator(golden("transcript_final", "segment_failed", "session_resumed", "chat_turn")).make,
        _records,
        (ValueError,),
    ),
    Target(
        "bus.session_record", json_mutator(golden("session_record", "takeover")).make, _session_record, (ValueError,)
    ),
    Target("bus.advisories", json_mutator([_GIVEN_UP]).make, _advisories, (ValueError,)),
    Target("bus.subjects", lambda random: random.choice((mutated(_SUBJECTS), _identifiers))(random), _subject),
    Target("bus.jetstream", json_mutator(_REPLIES).make, _jetstream, (HarkenError,)),
    Target("bus.direct_get", mutated(_DIRECT), _direct, (HarkenError,)),
    Target("bus.pull_status", mutated(_STATUSES), _status),
)
