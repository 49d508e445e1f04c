"""Heartbeats by which gateways know who can decode or answer. Core NATS, msgpack; a lost one costs nothing."""

from typing import Literal

import msgspec

from bus.contract.decoding import decoded
from bus.contract.identifiers import check_identifier

VERSION = 1
HEARTBEAT_INTERVAL_S = 0.5
EXPIRES_AFTER_S = 2.0
"""A worker not heard of for this long counts as gone."""
MAX_SLOTS = 65_536
MAX_ALIASES = 16
MAX_NAME_CHARS = 256
"""Of a model."""


class WorkerPresence(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="worker.presence"):
    """One worker's announcement of itself, sent every `HEARTBEAT_INTERVAL_S` and once on leaving."""

    version: int = VERSION
    worker: str
    pool: str
    model: str
    """Name that a session may ask for, for instance `base`."""
    slots: int
    """Windows that it decodes, or answers that it generates, at the same time."""
    state: Literal["ready", "leaving"]
    aliases: tuple[str, ...] = ()
    """Other names that a session may ask for."""
    free_slots: int = 0
    """Of an LLM worker: slots that no answer holds now."""
    context_tokens: int = 0
    """Of an LLM worker: what one conversation and its answer may have in all."""
    final_load: float = 0.0
    """Of an ASR worker: the share of its slots that finals used over the last seconds, from 0 to 1."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(WorkerPresence)


def encode_presence(presence: WorkerPresence) -> bytes:
    """Encode for `subjects.presence_asr` or `subjects.presence_llm`."""
    return _encoder.encode(presence)


def decode_presence(data: bytes) -> WorkerPresence:
    """Decode a heartbeat; ValueError if it is none, of another version, or says what no worker can."""
    presence = decoded(_decoder.decode, data, "a worker.presence")
    if presence.version != VERSION:
        raise ValueError(f"presence version {presence.version}, this process speaks {VERSION}")
    check_identifier(presence.pool, "pool")  # they become tokens of subjects
    check_identifier(presence.worker, "worker id")
    if len(presence.aliases) > MAX_ALIASES or max(map(len, (presence.model, *presence.aliases))) > MAX_NAME_CHARS:
        raise ValueError("model names are too long or too many")
    if not (0 <= presence.slots <= MAX_SLOTS and 0 <= presence.free_slots <= MAX_SLOTS):
        raise ValueError("slots must be 0 or more, and no more than a worker can have")
    return presence
