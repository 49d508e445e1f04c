"""Every subject, stream and consumer name of the bus is spelled here and nowhere else.

Internal:
    asr.final.<pool>.<tenant>.<session>      windows that must be decoded        stream ASR_FINAL
    asr.partial.<pool>.<tenant>.<session>    newest window of a running utterance stream ASR_PARTIAL
    inbox.gw.<gateway>.<session>             results to the gateway that holds the socket   core NATS
    taken.gw.<gateway>.<session>             which worker pulled which final of a session            core NATS
    presence.asr.<pool>.<worker>             heartbeats of workers                           core NATS
    alive.asr.<worker>                       heard, and never answered: for as long as the worker is connected
    cancel.asr.<pool>                        finals that nobody waits for any more           core NATS
    llm.req.<pool>.<tenant>.<session>        answers to generate, for any worker             stream LLM_REQUEST
    llm.direct.<worker>                      the same, for one worker: it takes or refuses   core NATS
    inbox.chat.<gateway>.<session>           what workers say of answers                     core NATS
    presence.llm.<pool>.<worker>             heartbeats of LLM workers                       core NATS
    $KV.SESSIONS.<tenant>.<session>          what a session is to be taken up from           bucket SESSIONS
    cancel.llm.<pool>                        answers that nobody waits for any more          core NATS
    takeover.<gateway>                       sessions of that gateway that are another's now core NATS

Public (docs/bus.md):
    transcripts.<tenant>.<session>           stored records, one per segment or turn of chat   stream TRANSCRIPTS
    live.<tenant>.<session>                  the same records as they are stored (republished by the broker)
"""

import re
from typing import NamedTuple

from bus.contract.identifiers import check_identifier

STREAM_ASR_FINAL = "ASR_FINAL"
STREAM_ASR_PARTIAL = "ASR_PARTIAL"
STREAM_LLM_REQUEST = "LLM_REQUEST"
STREAM_TRANSCRIPTS = "TRANSCRIPTS"
STREAM_DEAD_LETTERS = "DLQ"
STREAM_SESSIONS = "KV_SESSIONS"
"""A key-value bucket, as NATS spells one."""

ASR_FINAL_ALL = "asr.final.>"
ASR_PARTIAL_ALL = "asr.partial.>"
TRANSCRIPTS_ALL = "transcripts.>"
SESSIONS_ALL = "$KV.SESSIONS.>"
PRESENCE_ASR_ALL = "presence.asr.>"
CANCEL_ASR_ALL = "cancel.asr.>"
TAKEN_ALL = "taken.gw.>"
ALIVE_ASR_ALL = "alive.asr.*"
ACK_FINAL_ALL = f"$JS.ACK.{STREAM_ASR_FINAL}.>"
LLM_REQUEST_ALL = "llm.req.>"
LLM_DIRECT_ALL = "llm.direct.*"
PRESENCE_LLM_ALL = "presence.llm.>"
CANCEL_LLM_ALL = "cancel.llm.>"
TAKEOVER_ALL = "takeover.*"
LIVE_PREFIX = "live"
TRANSCRIPTS_PREFIX = "transcripts"
ADVISORY_MAX_DELIVERIES = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.ASR_FINAL.>"
ADVISORY_TERMINATED = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.ASR_FINAL.>"
ADVISORY_CHAT_MAX_DELIVERIES = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.LLM_REQUEST.>"
ADVISORY_CHAT_TERMINATED = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.LLM_REQUEST.>"
_MAX_ACK_CHARS = 256
_FINAL_ACK = re.compile(
    rf"\$JS\.ACK\.(?:[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.)?{STREAM_ASR_FINAL}\.[A-Za-z0-9_-]+(?:\.\d+){{5}}(?:\.[A-Za-z0-9_-]+)?\Z"
)


class InboxAddress(NamedTuple):
    """The two ids that an inbox subject carries."""

    gateway: str
    session: str


def asr_final(pool: str, tenant: str, session: str) -> str:
    """Subject of one final window."""
    return f"asr.final.{_pool(pool)}.{_tenant(tenant)}.{_session(session)}"


def asr_partial(pool: str, tenant: str, session: str) -> str:
    """Subject of one partial window; a newer message on it replaces the older one in the broker."""
    return f"asr.partial.{_pool(pool)}.{_tenant(tenant)}.{_session(session)}"


def asr_final_pool(pool: str) -> str:
    """Filter of the consumer that serves the finals of one pool."""
    return f"asr.final.{_pool(pool)}.>"


def asr_partial_pool(pool: str) -> str:
    """Filter of the consumer that serves the partials of one pool."""
    return f"asr.partial.{_pool(pool)}.>"


def asr_consumer(pool: str) -> str:
    """Durable consumer name of one pool, the same on both work streams."""
    return f"asr_{_pool(pool)}"


def inbox(gateway: str, session: str) -> str:
    """Where a worker sends the results of one session."""
    return f"inbox.gw.{check_identifier(gateway, 'gateway id')}.{_session(session)}"


def inbox_all(gateway: str) -> str:
    """The one wildcard that a gateway process subscribes to."""
    return f"inbox.gw.{check_identifier(gateway, 'gateway id')}.>"


def parse_inbox(subject: str) -> InboxAddress:
    """Read the ids back from an inbox subject; ValueError if it is not one."""
    tokens = subject.split(".")
    if len(tokens) != 4 or tokens[:2] != ["inbox", "gw"]:
        raise ValueError("not an inbox subject")
    return InboxAddress(gateway=tokens[2], session=tokens[3])


def taken(gateway: str, session: str) -> str:
    """Where a worker says that it has pulled a final of one session."""
    return f"taken.gw.{check_identifier(gateway, 'gateway id')}.{_session(session)}"


def taken_all(gateway: str) -> str:
    """The wildcard over all of these that a gateway process subscribes to."""
    return f"taken.gw.{check_identifier(gateway, 'gateway id')}.>"


def parse_taken(subject: str) -> InboxAddress:
    """Read the ids back from such a subject; ValueError if it is not one."""
    tokens = subject.split(".")
    if len(tokens) != 4 or tokens[:2] != ["taken", "gw"]:
        raise ValueError("not a subject of finals taken")
    return InboxAddress(gateway=tokens[2], session=tokens[3])


def is_final_ack(subject: str) -> bool:
    """Tell whether a delivery of a final is answered to the broker here, with or without a JetStream domain."""
    return len(subject) <= _MAX_ACK_CHARS and _FINAL_ACK.match(subject) is not None


def transcripts(tenant: str, session: str) -> str:
    """Subject under which the records of one session are stored."""
    return f"transcripts.{_tenant(tenant)}.{_session(session)}"


def session_record(tenant: str, session: str) -> str:
    """Subject of one session's key in the bucket."""
    return f"$KV.SESSIONS.{_tenant(tenant)}.{_session(session)}"


def live(tenant: str, session: str) -> str:
    """Subject on which the records of one session appear as they are stored."""
    return f"live.{_tenant(tenant)}.{_session(session)}"


def live_tenant(tenant: str) -> str:
    """Wildcard over all live records of one tenant."""
    return f"live.{_tenant(tenant)}.>"


def presence_asr(pool: str, worker: str) -> str:
    """Heartbeat subject of one ASR worker."""
    return f"presence.asr.{_pool(pool)}.{check_identifier(worker, 'worker id')}"


def alive_asr(worker: str) -> str:
    """What one worker listens to, so that the broker can tell that it is gone."""
    return f"alive.asr.{check_identifier(worker, 'worker id')}"


def cancel_asr(pool: str) -> str:
    """Where a gateway tells all workers of a pool that a window is not needed."""
    return f"cancel.asr.{_pool(pool)}"


def llm_request(pool: str, tenant: str, session: str) -> str:
    """Subject of one request for an answer that any worker of the pool may take."""
    return f"llm.req.{_pool(pool)}.{_tenant(tenant)}.{_session(session)}"


def llm_request_pool(pool: str) -> str:
    """Filter of the consumer that serves one pool."""
    return f"llm.req.{_pool(pool)}.>"


def llm_consumer(pool: str) -> str:
    """Durable consumer name of one pool."""
    return f"llm_{_pool(pool)}"


def llm_direct(worker: str) -> str:
    """Where one worker is asked for an answer because it served the conversation before."""
    return f"llm.direct.{check_identifier(worker, 'worker id')}"


def chat_inbox(gateway: str, session: str) -> str:
    """Where a worker sends what it has to say of the answers of one session."""
    return f"inbox.chat.{check_identifier(gateway, 'gateway id')}.{_session(session)}"


def chat_inbox_all(gateway: str) -> str:
    """The wildcard over all of these that a gateway process subscribes to."""
    return f"inbox.chat.{check_identifier(gateway, 'gateway id')}.>"


def parse_chat_inbox(subject: str) -> InboxAddress:
    """Read the ids back from a chat inbox subject; ValueError if it is not one."""
    tokens = subject.split(".")
    if len(tokens) != 4 or tokens[:2] != ["inbox", "chat"]:
        raise ValueError("not a chat inbox subject")
    return InboxAddress(gateway=tokens[2], session=tokens[3])


def takeover(gateway: str) -> str:
    """Where a gateway hears that another one has taken a session of its own over."""
    return f"takeover.{check_identifier(gateway, 'gateway id')}"


def presence_llm(pool: str, worker: str) -> str:
    """Heartbeat subject of one LLM worker."""
    return f"presence.llm.{_pool(pool)}.{check_identifier(worker, 'worker id')}"


def cancel_llm(pool: str) -> str:
    """Where a gateway tells all workers of a pool that an answer is not needed."""
    return f"cancel.llm.{_pool(pool)}"


def _pool(text: str) -> str:
    return check_identifier(text, "pool")


def _tenant(text: str) -> str:
    return check_identifier(text, "tenant")


def _session(text: str) -> str:
    return check_identifier(text, "session id")
