import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bus.contract.errors import InternalError, Overloaded
from bus.transport.assets import AssetLimits, ensure_assets, plan_assets
from bus.transport.connection import BusConnection
from bus.transport.embedded import EmbeddedNats
from bus.transport.server_config import ServerOptions
from tests.conftest import ConnectBus


async def test_the_server_holds_what_was_planned(bus: BusConnection) -> None:
    await ensure_assets(bus, pools=["std"], llm_pools=["std"])
    plan = plan_assets(pools=["std"], llm_pools=["std"], limits=AssetLimits())
    for stream in plan.streams:
        held = (await bus.request_api(f"STREAM.INFO.{stream['name']}"))["config"]
        assert {key: held.get(key) for key in stream} == dict(stream)
    for consumer in plan.consumers:
        info = await bus.request_api(f"CONSUMER.INFO.{consumer.stream}.{consumer.config['name']}")
        assert {key: info["config"].get(key) for key in consumer.config} == dict(consumer.config)


async def test_ensuring_again_changes_nothing(bus: BusConnection) -> None:
    await bus.publish_stored("asr.final.std.t1.s1", b"x", msg_id="1")
    await ensure_assets(bus, pools=["std"], limits=AssetLimits())
    state = (await bus.request_api("STREAM.INFO.ASR_FINAL"))["state"]
    assert (state["messages"], state["consumer_count"]) == (1, 1)


async def test_many_processes_may_ensure_at_once(connect_bus: ConnectBus) -> None:
    connections = [await connect_bus(f"p{number}") for number in range(5)]
    await asyncio.gather(*(ensure_assets(connection, pools=["std", "large"]) for connection in connections))
    assert (await connections[0].request_api("STREAM.INFO.ASR_FINAL"))["state"]["consumer_count"] == 2


async def test_a_stream_that_another_process_is_creating_is_found_after_a_refusal(
    connect_bus: ConnectBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = await connect_bus("ours"), await connect_bus("theirs")
    request, refused = ours.request_api, list[str]()

    async def refuse_once(call: str, body: bytes = b"", *, timeout_s: float = 2.0) -> dict[str, Any]:
        # The server counts the room of a stream twice while two create it: seen as error 10047 on a busy machine.
        if call == "STREAM.CREATE.TRANSCRIPTS" and not refused:
            refused.append(call)
            await theirs.request_api(call, body)
            raise Overloaded(
                "JetStream is at a limit: insufficient storage resources available (JetStream error 10047)"
            )
        return await request(call, body, timeout_s=timeout_s)

    monkeypatch.setattr(ours, "request_api", refuse_once)
    await ensure_assets(ours)
    assert refused
    assert (await request("STREAM.INFO.TRANSCRIPTS"))["config"]["max_bytes"] == AssetLimits().transcripts_max_bytes


async def test_only_who_states_limits_changes_an_existing_stream(bus: BusConnection) -> None:
    await ensure_assets(bus, limits=AssetLimits(transcripts_max_age_s=60.0 * 60))
    await ensure_assets(bus, pools=["std"])
    held = (await bus.request_api("STREAM.INFO.TRANSCRIPTS"))["config"]
    assert held["max_age"] == 3600 * 10**9


async def test_a_stream_of_an_earlier_release_gets_the_subjects_of_this_one(bus: BusConnection) -> None:
    config = (await bus.request_api("STREAM.INFO.DLQ"))["config"]
    earlier = {**config, "subjects": [subject for subject in config["subjects"] if "LLM_REQUEST" not in subject]}
    await bus.request_api("STREAM.UPDATE.DLQ", json.dumps(earlier).encode())
    await ensure_assets(bus, limits=AssetLimits())
    assert (await bus.request_api("STREAM.INFO.DLQ"))["config"]["subjects"] == config["subjects"]


async def test_a_changed_consumer_is_updated(bus: BusConnection) -> None:
    info = await bus.request_api("CONSUMER.INFO.ASR_FINAL.asr_std")
    body = {"stream_name": "ASR_FINAL", "config": {**info["config"], "ack_wait": 10**9}}
    await bus.request_api("CONSUMER.CREATE.ASR_FINAL.asr_std.asr.final.std.>", json.dumps(body).encode())
    await ensure_assets(bus, pools=["std"])
    assert (await bus.request_api("CONSUMER.INFO.ASR_FINAL.asr_std"))["config"]["ack_wait"] == 5 * 10**9


async def test_a_server_without_room_for_a_stream_says_so(bus: BusConnection) -> None:
    await bus.request_api("STREAM.DELETE.ASR_FINAL")
    too_much = ServerOptions(store_dir=Path()).max_memory_bytes * 4
    with pytest.raises(Overloaded, match="insufficient memory"):
        await ensure_assets(bus, limits=AssetLimits(finals_max_bytes=too_much))


async def test_a_configuration_that_the_server_refuses_is_our_own_fault(bus: BusConnection) -> None:
    with pytest.raises(InternalError, match="JetStream error"):
        await ensure_assets(bus, limits=AssetLimits(partials_max_age_s=0.001))


async def test_ensuring_succeeds_on_a_server_whose_memory_is_reserved_to_the_last_byte(tmp_path: Path) -> None:
    limits = AssetLimits(finals_max_bytes=600 * 1024**2, partials_max_bytes=296 * 1024**2)
    assert limits.chat_max_bytes == 128 * 1024**2
    server = EmbeddedNats(store_dir=tmp_path, max_memory_bytes=1024**3)
    async with server:
        connection = await BusConnection.connect(server.url, name="t", inbox_prefix="_INBOX_t")
        await ensure_assets(connection, limits=limits)
        await ensure_assets(connection, limits=limits)
        await connection.aclose()


async def test_stored_transcripts_survive_a_crash_of_the_server_with_their_ids(
    bus: BusConnection, nats_server: EmbeddedNats
) -> None:
    stored = await bus.publish_stored("transcripts.t1.s1", b"text", msg_id="s1:1:final")
    await nats_server.kill()
    async with asyncio.timeout(10):
        await bus._events.disconnected.wait()
        await nats_server.start()
        await bus.wait_connected()
        await bus.ensure()
    again = await bus.publish_stored("transcripts.t1.s1", b"text", msg_id="s1:1:final")
    assert again.duplicate and again.seq == stored.seq


async def test_a_final_delivered_too_often_becomes_a_dead_letter(bus: BusConnection) -> None:
    await bus.publish_stored("asr.final.std.t1.s1", b"poison", msg_id="1")
    info = await bus.request_api("CONSUMER.INFO.ASR_FINAL.asr_std")
    body = {"stream_name": "ASR_FINAL", "config": {**info["config"], "ack_wait": 10**8, "max_deliver": 1}}
    await bus.request_api("CONSUMER.CREATE.ASR_FINAL.asr_std.asr.final.std.>", json.dumps(body).encode())
    pull = json.dumps({"batch": 1, "expires": 10**9, "group": "pool"}).encode()
    letter = asyncio.Event()
    await bus.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>", lambda subject, data: letter.set())
    await bus.publish("$JS.API.CONSUMER.MSG.NEXT.ASR_FINAL.asr_std", pull, reply_to=bus.new_inbox())
    inbox = bus.new_inbox()
    await bus.subscribe(inbox, lambda subject, data: None)
    await bus.publish("$JS.API.CONSUMER.MSG.NEXT.ASR_FINAL.asr_std", pull, reply_to=inbox)
    await asyncio.wait_for(letter.wait(), 5)
    await bus.flush()
    assert (await bus.request_api("STREAM.INFO.DLQ"))["state"]["messages"] == 1
