"""Streams and consumers of the bus: what they are, and how they come to exist. Ensured at start and at each reconnect.

Memory streams vanish with a single server, configuration and all; whoever reconnects first creates them again.
"""

import asyncio
import json
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bus.contract import subjects
from bus.contract.errors import Overloaded
from bus.transport.connection import BusConnection
from bus.transport.jetstream_api import NANOSECONDS, AssetMissing

PRIORITY_GROUP = "pool"
"""Priority group of every pool consumer: pulls of priority 0 are served first, other regions' 5 after them."""
FINAL_ACK_WAIT_S = 5.0
"""A pulled final whose worker falls silent for this long goes to another."""
PARTIAL_ACK_WAIT_S = 3.0
FINAL_MAX_DELIVERIES = 4
CHAT_ACK_WAIT_S = 5.0
"""A request for an answer whose worker falls silent for this long is given up: the gateway hears it by advisory."""
_INFO_TIMEOUT_S = 1.0
"""A stream without a leader does not answer. Asked again soon, it is found soon after it has one."""
_CREATE_AGAIN_S = (0.05, 0.1, 0.2, 0.4)
"""Waits before a stream for which there was no room is looked for, and created, again."""
_MAX_WAITING_PULLS = 4096
_MAX_UNACKED = 4096
_log = logging.getLogger(__name__)

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetLimits:
    """Bounds of the streams. What is over them is refused (finals, chat) or replaces the oldest (all others)."""

    finals_max_messages: int = 4096
    finals_max_bytes: int = 512 * 1024**2
    finals_max_age_s: float = 600.0
    """Longer than any queue that `finals_max_bytes` allows should last; what expires was left by gateways that died."""
    partials_max_bytes: int = 256 * 1024**2
    partials_max_age_s: float = 3.0
    chat_max_messages: int = 4096
    chat_max_bytes: int = 128 * 1024**2
    chat_max_age_s: float = 600.0
    transcripts_max_age_s: float = 7 * 86400.0
    transcripts_max_bytes: int = 4 * 1024**3
    sessions_max_bytes: int = 256 * 1024**2
    sessions_max_age_s: float = 86400.0
    dead_letters_max_messages: int = 10_000
    dead_letters_max_bytes: int = 32 * 1024**2
    dead_letters_max_age_s: float = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class ConsumerPlan:
    """One durable consumer and the stream it belongs to."""

    stream: str
    config: Config


@dataclass(frozen=True, slots=True)
class AssetPlan:
    """All that should exist. A value: nothing here talks to a server."""

    streams: tuple[Config, ...]
    consumers: tuple[ConsumerPlan, ...]


def plan_assets(
    *, pools: Sequence[str], llm_pools: Sequence[str] = (), limits: AssetLimits, replicas: int = 1
) -> AssetPlan:
    """The six streams, for each ASR pool its consumers of finals and partials, for each LLM pool its one consumer.

    `replicas` servers of a cluster have each of them. ValueError for a bad pool name.
    """
    streams = (
        _finals(limits),
        _partials(limits),
        _chat(limits),
        _transcripts(limits),
        _sessions(limits),
        _dead_letters(limits),
    )
    return AssetPlan(
        streams=tuple({**stream, "num_replicas": replicas} for stream in streams),
        consumers=(
            *(consumer for pool in pools for consumer in _consumers(pool)),
            *(_chat_consumer(pool) for pool in llm_pools),
        ),
    )


async def ensure_assets(
    connection: BusConnection,
    *,
    pools: Sequence[str] = (),
    llm_pools: Sequence[str] = (),
    limits: AssetLimits | None = None,
    replicas: int = 1,
) -> None:
    """Have the streams, and the consumers of the pools, exist: now and after each reconnect. Idempotent.

    Only who states `limits` changes a stream that exists (the gateway, whose settings they are); without them, what
    is missing is created with the defaults and what exists is left alone. A later call replaces an earlier one on
    the same connection. Raises BusUnavailable, Overloaded if the server has no room for a stream,
    InternalError if it refuses a configuration.
    """
    plan = plan_assets(pools=pools, llm_pools=llm_pools, limits=limits or AssetLimits(), replicas=replicas)

    async def ensure() -> None:
        # Together: in a cluster that has lost a server each stream waits for a new leader of its own.
        creating, may_update = asyncio.Lock(), limits is not None
        await _all(_ensure_stream(connection, one, may_update=may_update, creating=creating) for one in plan.streams)
        await _all(_ensure_consumer(connection, consumer) for consumer in plan.consumers)

    await connection.keep_ensured(ensure)


async def _all(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run them side by side, each to its end; raises what the first of those that failed raised."""
    results = await asyncio.gather(*steps, return_exceptions=True)
    for error in results:
        if error is not None:
            raise error


async def _ensure_stream(
    connection: BusConnection, config: Config, *, may_update: bool, creating: asyncio.Lock
) -> None:
    name = config["name"]
    try:
        # Asked first: creating what exists checks its reservation a second time, and fails on a server nearly full.
        existing = (await _info(connection, f"STREAM.INFO.{name}"))["config"]
    except AssetMissing:
        async with creating:  # of several at once the server does not check whether there is room for all
            await _create_stream(connection, config)
        return
    if may_update and not _holds(existing, config):
        await connection.request_api(f"STREAM.UPDATE.{name}", json.dumps({**existing, **config}).encode())
        _log.info("stream updated", extra={"stream": name})


async def _create_stream(connection: BusConnection, config: Config) -> None:
    for again_s in _CREATE_AGAIN_S:
        try:
            return await _create_unless_there(connection, config)
        except Overloaded:
            # Where another process is creating the same stream, the server counts its room twice until that is done.
            await asyncio.sleep(again_s)
    await _create_unless_there(connection, config)


async def _create_unless_there(connection: BusConnection, config: Config) -> None:
    name = config["name"]
    try:
        await _info(connection, f"STREAM.INFO.{name}")  # another process may have been faster meanwhile
    except AssetMissing:
        await connection.request_api(f"STREAM.CREATE.{name}", json.dumps(config).encode())
        _log.info("stream created", extra={"stream": name})


async def _ensure_consumer(connection: BusConnection, plan: ConsumerPlan) -> None:
    name, body = plan.config["name"], {"stream_name": plan.stream, "config": dict(plan.config)}
    try:
        existing = (await _info(connection, f"CONSUMER.INFO.{plan.stream}.{name}"))["config"]
    except AssetMissing:
        existing = {}
    if _holds(existing, plan.config):
        return
    call = f"CONSUMER.CREATE.{plan.stream}.{name}.{plan.config['filter_subject']}"
    await connection.request_api(call, json.dumps(body).encode())
    _log.info("consumer ensured", extra={"stream": plan.stream, "consumer": name})


async def _info(connection: BusConnection, call: str) -> dict[str, Any]:
    return await connection.request_api(call, timeout_s=_INFO_TIMEOUT_S)


def _holds(existing: Config, wanted: Config) -> bool:
    return all(existing.get(key) == value for key, value in wanted.items())


def _finals(limits: AssetLimits) -> Config:
    return {
        "name": subjects.STREAM_ASR_FINAL,
        "subjects": [subjects.ASR_FINAL_ALL],
        "retention": "workqueue",
        "storage": "memory",
        # A full queue is told to the gateway, which sheds load; nothing is dropped in silence.
        "discard": "new",
        "max_msgs": limits.finals_max_messages,
        "max_bytes": limits.finals_max_bytes,
        "max_age": _ns(limits.finals_max_age_s),
        "duplicate_window": _ns(limits.finals_max_age_s),
    }


def _partials(limits: AssetLimits) -> Config:
    return {
        "name": subjects.STREAM_ASR_PARTIAL,
        "subjects": [subjects.ASR_PARTIAL_ALL],
        "retention": "workqueue",
        "storage": "memory",
        # The broker itself drops a session's stale window when a newer one arrives.
        "max_msgs_per_subject": 1,
        "discard": "old",
        "max_bytes": limits.partials_max_bytes,
        "max_age": _ns(limits.partials_max_age_s),
        "duplicate_window": _ns(limits.partials_max_age_s),
    }


def _chat(limits: AssetLimits) -> Config:
    return {
        "name": subjects.STREAM_LLM_REQUEST,
        "subjects": [subjects.LLM_REQUEST_ALL],
        "retention": "workqueue",
        "storage": "memory",
        "discard": "new",
        "max_msgs": limits.chat_max_messages,
        "max_bytes": limits.chat_max_bytes,
        "max_age": _ns(limits.chat_max_age_s),
        "duplicate_window": _ns(limits.chat_max_age_s),
    }


def _transcripts(limits: AssetLimits) -> Config:
    return {
        "name": subjects.STREAM_TRANSCRIPTS,
        "subjects": [subjects.TRANSCRIPTS_ALL],
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_bytes": limits.transcripts_max_bytes,
        "max_age": _ns(limits.transcripts_max_age_s),
        "duplicate_window": _ns(600.0),
        "compression": "s2",
        "allow_direct": True,
        "republish": {"src": subjects.TRANSCRIPTS_ALL, "dest": f"{subjects.LIVE_PREFIX}.>"},
    }


def _sessions(limits: AssetLimits) -> Config:
    return {
        "name": subjects.STREAM_SESSIONS,
        "subjects": [subjects.SESSIONS_ALL],
        "retention": "limits",
        "storage": "file",
        # What makes it a bucket to clients of NATS, but for this: when it is full, who was quiet longest is forgotten.
        "discard": "old",
        "max_msgs_per_subject": 1,
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "allow_direct": True,
        "max_bytes": limits.sessions_max_bytes,
        "max_age": _ns(limits.sessions_max_age_s),
        "duplicate_window": _ns(120.0),
        "compression": "s2",
    }


def _dead_letters(limits: AssetLimits) -> Config:
    return {
        "name": subjects.STREAM_DEAD_LETTERS,
        "subjects": [
            subjects.ADVISORY_MAX_DELIVERIES,
            subjects.ADVISORY_TERMINATED,
            subjects.ADVISORY_CHAT_MAX_DELIVERIES,
            subjects.ADVISORY_CHAT_TERMINATED,
        ],
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_msgs": limits.dead_letters_max_messages,
        "max_bytes": limits.dead_letters_max_bytes,
        "max_age": _ns(limits.dead_letters_max_age_s),
    }


def _consumers(pool: str) -> tuple[ConsumerPlan, ConsumerPlan]:
    name = subjects.asr_consumer(pool)
    finals = _consumer(name, subjects.asr_final_pool(pool), FINAL_ACK_WAIT_S, FINAL_MAX_DELIVERIES)
    # A partial is not worth a second try: the next window is on its way.
    partials = _consumer(name, subjects.asr_partial_pool(pool), PARTIAL_ACK_WAIT_S, 1)
    return ConsumerPlan(subjects.STREAM_ASR_FINAL, finals), ConsumerPlan(subjects.STREAM_ASR_PARTIAL, partials)


def _chat_consumer(pool: str) -> ConsumerPlan:
    # One delivery: a second one would repeat text that was shown. The gateway asks again itself, with it as prefill.
    config = _consumer(subjects.llm_consumer(pool), subjects.llm_request_pool(pool), CHAT_ACK_WAIT_S, 1)
    return ConsumerPlan(subjects.STREAM_LLM_REQUEST, config)


def _consumer(name: str, filter_subject: str, ack_wait_s: float, max_deliver: int) -> Config:
    return {
        "name": name,
        "durable_name": name,
        "filter_subject": filter_subject,
        "deliver_policy": "all",
        "replay_policy": "instant",
        "ack_policy": "explicit",
        "ack_wait": _ns(ack_wait_s),
        "max_deliver": max_deliver,
        "max_waiting": _MAX_WAITING_PULLS,
        "max_ack_pending": _MAX_UNACKED,
        "priority_groups": [PRIORITY_GROUP],
        "priority_policy": "prioritized",
    }


def _ns(seconds: float) -> int:
    return round(seconds * NANOSECONDS)
