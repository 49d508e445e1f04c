"""Who may say and hear what on the bus: the least that each role needs, as server-side permissions.

A role's replies arrive below its own inbox prefix: one shared prefix would let every role read the others' replies.
Without credentials the server lets everyone on its address do everything; then it must stay on loopback.

A reader is an outside app of one tenant. It hears `live.<tenant>.>` and may read the newest stored record of each of
its sessions by direct get. It gets no consumer on TRANSCRIPTS: a consumer's delivery subject is chosen in the request
body, out of reach of permissions, so a tenant could have its records delivered into another tenant's subjects.
Replay for outside apps therefore runs as a trusted role, or through an account import.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bus.contract import subjects
from bus.contract.identifiers import check_identifier

ROLE_GATEWAY = "gateway"
ROLE_ASR = "asr"
ROLE_LLM = "llm"
ROLE_ADMIN = "admin"
READER_PREFIX = "reader_"
INBOX_GATEWAY = "_INBOX_gw"
INBOX_ASR = "_INBOX_asr"
INBOX_LLM = "_INBOX_llm"
INBOX_READER_PREFIX = "_INBOX_app_"

_STREAMS = (
    subjects.STREAM_ASR_FINAL,
    subjects.STREAM_ASR_PARTIAL,
    subjects.STREAM_LLM_REQUEST,
    subjects.STREAM_TRANSCRIPTS,
    subjects.STREAM_DEAD_LETTERS,
    subjects.STREAM_SESSIONS,
)
_ASR_STREAMS = (subjects.STREAM_ASR_FINAL, subjects.STREAM_ASR_PARTIAL)
_WORK_STREAMS = (*_ASR_STREAMS, subjects.STREAM_LLM_REQUEST)


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects a user may publish to and subscribe to; everything else is refused."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def reader_role(tenant: str) -> str:
    """User name of the outside app of one tenant."""
    return READER_PREFIX + check_identifier(tenant, "tenant")


def reader_inbox_prefix(tenant: str) -> str:
    """Inbox prefix that the reader of `tenant` must connect with."""
    return INBOX_READER_PREFIX + check_identifier(tenant, "tenant")


def permissions_of(role: str) -> Permissions | None:
    """Permissions of a role, or None for the administrator, who may do everything. ValueError for an unknown role."""
    if role == ROLE_ADMIN:
        return None
    if role == ROLE_GATEWAY:
        return _gateway()
    if role == ROLE_ASR:
        return _asr()
    if role == ROLE_LLM:
        return _llm()
    if role.startswith(READER_PREFIX):
        return _reader(role.removeprefix(READER_PREFIX))
    raise ValueError("role must be gateway, asr, llm, admin or reader_<tenant>")


def _gateway() -> Permissions:
    return Permissions(
        publish=(
            subjects.ASR_FINAL_ALL,
            subjects.ASR_PARTIAL_ALL,
            subjects.TRANSCRIPTS_ALL,
            subjects.CANCEL_ASR_ALL,
            # A final that a worker took to its grave is handed back in its name.
            subjects.ALIVE_ASR_ALL,
            subjects.ACK_FINAL_ALL,
            subjects.LLM_REQUEST_ALL,
            subjects.LLM_DIRECT_ALL,
            subjects.CANCEL_LLM_ALL,
            subjects.SESSIONS_ALL,
            *_stream_calls("INFO", "CREATE", "UPDATE"),
            subjects.TAKEOVER_ALL,
            f"$JS.API.DIRECT.GET.{subjects.STREAM_SESSIONS}.{subjects.SESSIONS_ALL}",
            # To take a session over: its newest record, and all of them.
            f"$JS.API.DIRECT.GET.{subjects.STREAM_TRANSCRIPTS}",
            f"$JS.API.DIRECT.GET.{subjects.STREAM_TRANSCRIPTS}.{subjects.TRANSCRIPTS_ALL}",
            # Queue depth for admission: reads only.
            *(f"$JS.API.CONSUMER.INFO.{stream}.*" for stream in _WORK_STREAMS),
        ),
        subscribe=(
            "inbox.gw.>",
            "inbox.chat.>",
            subjects.TAKEN_ALL,
            subjects.TAKEOVER_ALL,
            subjects.PRESENCE_ASR_ALL,
            subjects.PRESENCE_LLM_ALL,
            subjects.ADVISORY_MAX_DELIVERIES,
            subjects.ADVISORY_TERMINATED,
            subjects.ADVISORY_CHAT_MAX_DELIVERIES,
            subjects.ADVISORY_CHAT_TERMINATED,
            f"{INBOX_GATEWAY}.>",
        ),
    )


def _asr() -> Permissions:
    return Permissions(
        publish=("inbox.gw.>", subjects.TAKEN_ALL, subjects.PRESENCE_ASR_ALL, *_worker_calls(_ASR_STREAMS)),
        subscribe=(subjects.CANCEL_ASR_ALL, subjects.ALIVE_ASR_ALL, f"{INBOX_ASR}.>"),
    )


def _llm() -> Permissions:
    return Permissions(
        publish=("inbox.chat.>", subjects.PRESENCE_LLM_ALL, *_worker_calls((subjects.STREAM_LLM_REQUEST,))),
        subscribe=(subjects.LLM_DIRECT_ALL, subjects.CANCEL_LLM_ALL, f"{INBOX_LLM}.>"),
    )


def _reader(tenant: str) -> Permissions:
    stored = f"{subjects.TRANSCRIPTS_PREFIX}.{check_identifier(tenant, 'tenant')}.>"
    return Permissions(
        publish=(f"$JS.API.DIRECT.GET.{subjects.STREAM_TRANSCRIPTS}.{stored}",),
        subscribe=(subjects.live_tenant(tenant), f"{reader_inbox_prefix(tenant)}.>"),
    )


def _worker_calls(work: tuple[str, ...]) -> Iterator[str]:
    # A worker creates streams that are missing; to change those that exist is left to who owns their settings.
    yield from _stream_calls("INFO", "CREATE")
    for stream in work:
        yield f"$JS.API.CONSUMER.INFO.{stream}.*"
        yield f"$JS.API.CONSUMER.CREATE.{stream}.>"
        yield f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*"
        yield f"$JS.ACK.{stream}.>"


def _stream_calls(*calls: str, streams: tuple[str, ...] = _STREAMS) -> Iterator[str]:
    return (f"$JS.API.STREAM.{call}.{stream}" for stream in streams for call in calls)
