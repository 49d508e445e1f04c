"""What each role may do on a server with credentials, and what it may not: tried against the real server."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bus.contract.errors import BusUnavailable
from bus.transport import connection_events, roles
from bus.transport.assets import AssetLimits, ensure_assets
from bus.transport.connection import BusConnection
from bus.transport.delivery import DELIVER_AGAIN
from bus.transport.direct_get import all_messages, newest_message
from bus.transport.embedded import EmbeddedNats
from bus.transport.raw_pull import RawPull

CREDENTIALS = {role: f"p w@{role}" for role in ("gateway", "asr", "llm", "admin", "reader_t1", "reader_t2")}
INBOXES = {
    "gateway": roles.INBOX_GATEWAY,
    "asr": roles.INBOX_ASR,
    "llm": roles.INBOX_LLM,
    "admin": "_INBOX_admin",
    "reader_t1": roles.reader_inbox_prefix("t1"),
    "reader_t2": roles.reader_inbox_prefix("t2"),
}
Roles = dict[str, BusConnection]


@pytest.fixture
async def connections(tmp_path: Path) -> AsyncIterator[Roles]:
    async with EmbeddedNats(store_dir=tmp_path, credentials=CREDENTIALS) as server, AsyncExitStack() as stack:
        opened = {}
        for role in CREDENTIALS:
            opened[role] = await BusConnection.connect(server.url_for(role), name=role, inbox_prefix=INBOXES[role])
            stack.push_async_callback(opened[role].aclose)
        await ensure_assets(opened["gateway"], limits=AssetLimits())
        yield opened


async def test_a_whole_round_of_work_needs_no_more_than_the_roles_have(connections: Roles) -> None:
    gateway, worker, reader = connections["gateway"], connections["asr"], connections["reader_t1"]
    before = _violations()
    heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    await gateway.subscribe("inbox.gw.g1.>", lambda subject, data: heard.put_nowait((subject, data)))
    await gateway.subscribe("presence.asr.>", lambda subject, data: heard.put_nowait((subject, data)))
    await reader.subscribe("live.t1.>", lambda subject, data: heard.put_nowait((subject, data)))
    await gateway.subscribe("taken.gw.g1.>", lambda subject, data: heard.put_nowait((subject, data)))
    await asyncio.gather(gateway.flush(), reader.flush())
    await ensure_assets(worker, pools=["std"])
    assert not await gateway.someone_listens("alive.asr.w1", within_s=2)
    await worker.subscribe("alive.asr.w1", lambda subject, data: None)
    await worker.flush()
    assert await gateway.someone_listens("alive.asr.w1", within_s=0.01)
    await worker.publish("presence.asr.std.w1", b"here")
    assert await _next(heard) == ("presence.asr.std.w1", b"here")
    await worker.subscribe("cancel.asr.std", lambda subject, data: heard.put_nowait((subject, data)))
    await worker.flush()
    await gateway.publish("cancel.asr.std", b"forget it")
    assert await _next(heard) == ("cancel.asr.std", b"forget it")
    await gateway.publish_stored("asr.final.std.t1.s1", b"window", msg_id="1")
    await gateway.publish_stored("asr.partial.std.t1.s1", b"window", msg_id="2")
    for stream in ("ASR_FINAL", "ASR_PARTIAL"):
        pull = RawPull(worker, stream=stream, consumer="asr_std")
        job = await pull.fetch(wait_s=2)
        assert job is not None
        await job.in_progress()
        await worker.publish("inbox.gw.g1.s1", stream.encode())
        assert await _next(heard) == ("inbox.gw.g1.s1", stream.encode())
        if stream == "ASR_FINAL":
            await worker.publish("taken.gw.g1.s1", job.ack_subject.encode())
            assert await _next(heard) == ("taken.gw.g1.s1", job.ack_subject.encode())
            await gateway.publish(job.ack_subject, DELIVER_AGAIN)
            job = await pull.fetch(wait_s=2)
            assert job is not None and job.deliveries == 2
        await job.ack()
        await pull.aclose()
    await gateway.publish_stored("transcripts.t1.s1", b"text", msg_id="s1:1:final")
    assert await _next(heard) == ("live.t1.s1", b"text")
    await _nothing_left(gateway, "ASR_FINAL.asr_std")
    assert _violations() == before


async def test_a_whole_answer_needs_no_more_than_the_roles_have(connections: Roles) -> None:
    gateway, worker = connections["gateway"], connections["llm"]
    before = _violations()
    heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    for subject in ("inbox.chat.g1.>", "presence.llm.>"):
        await gateway.subscribe(subject, lambda subject, data: heard.put_nowait((subject, data)))
    for subject in ("llm.direct.w1", "cancel.llm.std"):
        await worker.subscribe(subject, lambda subject, data: heard.put_nowait((subject, data)))
    await asyncio.gather(gateway.flush(), worker.flush())
    await ensure_assets(worker, llm_pools=["std"])
    await worker.publish("presence.llm.std.w1", b"here")
    assert await _next(heard) == ("presence.llm.std.w1", b"here")
    for subject in ("llm.direct.w1", "cancel.llm.std"):
        await gateway.publish(subject, b"x")
        assert await _next(heard) == (subject, b"x")
    await gateway.publish_stored("llm.req.std.t1.s1", b"request", msg_id="1")
    pull = RawPull(worker, stream="LLM_REQUEST", consumer="llm_std")
    job = await pull.fetch(wait_s=2)
    assert job is not None
    await job.in_progress()
    await worker.publish("inbox.chat.g1.s1", b"delta")
    assert await _next(heard) == ("inbox.chat.g1.s1", b"delta")
    await job.ack()
    await pull.aclose()
    await _nothing_left(gateway, "LLM_REQUEST.llm_std")
    assert _violations() == before


async def test_a_gateway_keeps_session_records(connections: Roles) -> None:
    gateway, before = connections["gateway"], _violations()
    await gateway.publish_stored("$KV.SESSIONS.t1.s1", b"record", msg_id="1")
    answers = asyncio.Queue[bytes]()
    inbox = gateway.new_inbox()
    await gateway.subscribe(inbox, lambda subject, data: answers.put_nowait(data))
    await gateway.publish("$JS.API.DIRECT.GET.KV_SESSIONS.$KV.SESSIONS.t1.s1", b"", reply_to=inbox)
    assert await _next_of(answers) == b"record"
    assert _violations() == before


async def test_a_gateway_takes_a_session_over_from_another(connections: Roles) -> None:
    gateway, before = connections["gateway"], _violations()
    heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    await gateway.subscribe("takeover.g1", lambda subject, data: heard.put_nowait((subject, data)))
    await gateway.publish_stored("transcripts.t1.s1", b"text", msg_id="1")
    newest = await newest_message(gateway, "TRANSCRIPTS", "transcripts.t1.s1")
    assert newest is not None and newest.data == b"text"
    assert await all_messages(gateway, "TRANSCRIPTS", "transcripts.t1.s1", max_bytes=2**20) == [newest]
    await gateway.publish("takeover.g1", b"let go")
    assert await _next(heard) == ("takeover.g1", b"let go")
    assert _violations() == before


async def test_only_gateways_take_sessions_over(connections: Roles) -> None:
    for role in ("asr", "llm", "reader_t1"):
        await _assert_refused_publish(connections[role], "takeover.g1")
        await _assert_refused_subscription(connections[role], "takeover.g1")


async def test_workers_cannot_reach_session_records(connections: Roles) -> None:
    for role in ("asr", "llm"):
        await _assert_refused_publish(connections[role], "$KV.SESSIONS.t1.s1")
        await _assert_refused_publish(connections[role], "$JS.API.DIRECT.GET.KV_SESSIONS.$KV.SESSIONS.t1.s1")


async def test_an_llm_worker_can_neither_ask_itself_nor_hear_other_answers(connections: Roles) -> None:
    for subject in ("llm.req.std.t1.s1", "llm.direct.w1", "inbox.gw.g1.s1", "transcripts.t1.s1"):
        await _assert_refused_publish(connections["llm"], subject)
    for subject in ("inbox.chat.>", "live.>", f"{roles.INBOX_ASR}.>"):
        await _assert_refused_subscription(connections["llm"], subject)


async def test_a_worker_cannot_write_transcripts(connections: Roles) -> None:
    await _assert_refused_publish(connections["asr"], "transcripts.t1.s1")


async def test_a_worker_cannot_write_its_own_work(connections: Roles) -> None:
    await _assert_refused_publish(connections["asr"], "asr.final.std.t1.s1")


async def test_a_worker_cannot_change_streams_or_delete_them(connections: Roles) -> None:
    for call in ("UPDATE", "DELETE", "PURGE"):
        await _assert_refused_publish(connections["asr"], f"$JS.API.STREAM.{call}.TRANSCRIPTS")


async def test_a_worker_cannot_read_transcripts(connections: Roles) -> None:
    worker = connections["asr"]
    await _assert_refused_subscription(worker, "live.>")
    for call in ("$JS.API.CONSUMER.CREATE.TRANSCRIPTS.x", "$JS.API.DIRECT.GET.TRANSCRIPTS.transcripts.t1.s1"):
        await _assert_refused_publish(worker, call)


async def test_a_gateway_cannot_delete_a_stream_or_pull_work(connections: Roles) -> None:
    for call in ("STREAM.DELETE.TRANSCRIPTS", "STREAM.PURGE.ASR_FINAL", "CONSUMER.MSG.NEXT.ASR_FINAL.asr_std"):
        await _assert_refused_publish(connections["gateway"], f"$JS.API.{call}")


async def test_a_gateway_cannot_make_other_streams(connections: Roles) -> None:
    await _assert_refused_publish(connections["gateway"], "$JS.API.STREAM.CREATE.MINE")


async def test_roles_cannot_hear_each_others_replies(connections: Roles) -> None:
    await _assert_refused_subscription(connections["asr"], f"{roles.INBOX_GATEWAY}.>")
    await _assert_refused_subscription(connections["gateway"], f"{roles.INBOX_ASR}.>")
    await _assert_refused_subscription(connections["reader_t2"], f"{roles.reader_inbox_prefix('t1')}.>")


async def test_a_tenant_cannot_hear_another_tenants_live_records(connections: Roles) -> None:
    for subject in ("live.t1.>", "live.>", "live.*.s1", "transcripts.t1.>", ">"):
        await _assert_refused_subscription(connections["reader_t2"], subject)


async def test_a_tenant_reads_its_own_newest_stored_record_and_no_other(connections: Roles) -> None:
    await connections["gateway"].publish_stored("transcripts.t1.s1", b"text", msg_id="1")
    call = "$JS.API.DIRECT.GET.TRANSCRIPTS.transcripts.t1.s1"
    own, answers = connections["reader_t1"], asyncio.Queue[bytes]()
    inbox = own.new_inbox()
    await own.subscribe(inbox, lambda subject, data: answers.put_nowait(data))
    await own.publish(call, b"", reply_to=inbox)
    assert await asyncio.wait_for(answers.get(), 2) == b"text"
    await _assert_refused_publish(connections["reader_t2"], call)


async def test_a_tenant_cannot_reach_stored_records_by_any_unfenced_call(connections: Roles) -> None:
    for call in (
        "DIRECT.GET.TRANSCRIPTS",
        "STREAM.MSG.GET.TRANSCRIPTS",
        "CONSUMER.CREATE.TRANSCRIPTS",
        "CONSUMER.CREATE.TRANSCRIPTS.x.transcripts.t1.>",
        "STREAM.INFO.TRANSCRIPTS",
    ):
        await _assert_refused_publish(connections["reader_t2"], f"$JS.API.{call}")


async def test_a_tenant_cannot_forge_records_work_or_results(connections: Roles) -> None:
    for subject in ("live.t1.s1", "transcripts.t1.s1", "asr.final.std.t1.s1", "inbox.gw.g1.s1", "presence.asr.std.w1"):
        await _assert_refused_publish(connections["reader_t1"], subject)


async def test_only_gateways_cancel_work(connections: Roles) -> None:
    for role in ("asr", "llm", "reader_t1"):
        for subject in ("cancel.asr.std", "cancel.llm.std"):
            await _assert_refused_publish(connections[role], subject)


async def test_the_administrator_may_do_everything(connections: Roles) -> None:
    admin = connections["admin"]
    await admin.publish_stored("transcripts.t1.s1", b"text", msg_id="1")
    letter = await admin.request_api("STREAM.MSG.GET.TRANSCRIPTS", json.dumps({"seq": 1}).encode())
    assert letter["message"]["subject"] == "transcripts.t1.s1"
    assert (await admin.request_api("STREAM.DELETE.DLQ"))["success"]


async def test_a_refused_request_ends_as_unavailable_and_is_logged_without_ids(
    connections: Roles, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(BusUnavailable):
        await connections["asr"].publish_stored("transcripts.t1.secret-session", b"x", msg_id="1", timeout_s=0.2)
    records = [record for record in caplog.records if record.message == "operation refused by NATS permissions"]
    assert [vars(record)["subject"] for record in records] == ["transcripts.*"]
    assert "secret-session" not in caplog.text


async def _next_of(answers: asyncio.Queue[bytes]) -> bytes:
    return await asyncio.wait_for(answers.get(), 5)


async def _next(heard: asyncio.Queue[tuple[str, bytes]]) -> tuple[str, bytes]:
    return await asyncio.wait_for(heard.get(), 5)


async def _nothing_left(gateway: BusConnection, consumer: str) -> None:
    """Return once nothing waits at `consumer`, and all that it gave out is acknowledged."""
    call = f"CONSUMER.INFO.{consumer}"
    async with asyncio.timeout(10):
        while (info := await gateway.request_api(call))["num_pending"] or info["num_ack_pending"]:
            pass


async def _assert_refused_publish(connection: BusConnection, subject: str) -> None:
    before = _violations()
    await connection.publish(subject, b"{}", reply_to=connection.new_inbox())
    await _wait_violation(connection, before)


async def _assert_refused_subscription(connection: BusConnection, subject: str) -> None:
    before = _violations()
    await connection.subscribe(subject, lambda subject, data: None)
    await _wait_violation(connection, before)


async def _wait_violation(connection: BusConnection, before: float) -> None:
    await connection.flush()
    assert _violations() == before + 1, "the operation was not refused"


def _violations() -> float:
    samples = (sample for metric in connection_events.VIOLATIONS.collect() for sample in metric.samples)
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))
