import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from bus.contract.errors import BusUnavailable
from bus.transport import raw_pull
from bus.transport.connection import BusConnection
from bus.transport.delivery import Job
from bus.transport.embedded import EmbeddedNats
from bus.transport.jetstream_api import AssetMissing
from bus.transport.queues import QueueState, finals_queue
from bus.transport.raw_pull import RawPull
from tests.conftest import ConnectBus

SUBJECT = "asr.final.std.t1.s1"


@pytest.fixture
async def finals(bus: BusConnection) -> AsyncIterator[RawPull]:
    pull = RawPull(bus, stream="ASR_FINAL", consumer="asr_std")
    yield pull
    await pull.aclose()


async def test_a_stored_message_is_fetched_with_what_is_known_of_it(bus: BusConnection, finals: RawPull) -> None:
    await bus.publish_stored(SUBJECT, b"window", msg_id="1")
    job = await finals.fetch(wait_s=2)
    assert job is not None
    assert (job.data, job.subject, job.deliveries) == (b"window", SUBJECT, 1)
    assert 0 <= job.stored_age_s < 2
    assert "window" not in repr(job)


async def test_the_queue_tells_what_waits_and_what_was_taken(bus: BusConnection, finals: RawPull) -> None:
    acks = [await bus.publish_stored(SUBJECT, b"window", msg_id=str(number)) for number in range(3)]
    first = await finals_queue(bus, "std")
    assert first == QueueState(waiting=3, taken_upto_seq=0, acked_upto_seq=0, born=first.born)
    done = await finals.fetch(wait_s=2)
    await finals.fetch(wait_s=2)
    assert done is not None
    await done.ack()
    async with asyncio.timeout(10):  # the server takes acknowledgements in beside requests, not before them
        while (later := await finals_queue(bus, "std")).acked_upto_seq == 0:
            pass
    assert later == QueueState(waiting=1, taken_upto_seq=acks[1].seq, acked_upto_seq=acks[0].seq, born=first.born)
    assert later.continues(first) and not first.continues(later)


async def test_a_queue_that_was_made_anew_is_another_one(bus: BusConnection) -> None:
    before = await finals_queue(bus, "std")
    await bus.request_api("STREAM.DELETE.ASR_FINAL")
    await bus.ensure()
    assert not (await finals_queue(bus, "std")).continues(before)


async def test_a_pool_that_nobody_joined_has_no_queue(bus: BusConnection) -> None:
    with pytest.raises(AssetMissing):
        await finals_queue(bus, "other")


async def test_without_waiting_an_empty_stream_has_no_job(finals: RawPull) -> None:
    assert await finals.fetch(wait_s=0) is None


async def test_a_wait_ends_on_time(finals: RawPull) -> None:
    began_at = time.monotonic()
    assert await finals.fetch(wait_s=0.2) is None
    assert 0.15 < time.monotonic() - began_at < 1.5


async def test_a_waiting_fetch_gets_the_next_message(bus: BusConnection, finals: RawPull) -> None:
    fetching = asyncio.create_task(finals.fetch(wait_s=None))
    await _pulls_waiting(bus, 1)
    await bus.publish_stored(SUBJECT, b"1", msg_id="1")
    job = await asyncio.wait_for(fetching, 2)
    assert job is not None and job.data == b"1"


async def test_a_pull_that_expires_is_renewed(bus: BusConnection) -> None:
    pull = RawPull(bus, stream="ASR_FINAL", consumer="asr_std", expires_s=0.1)
    fetching = asyncio.create_task(pull.fetch(wait_s=None))
    await _pulls_waiting(bus, 1)
    done, _ = await asyncio.wait((fetching,), timeout=0.4)
    assert not done
    await bus.publish_stored(SUBJECT, b"1", msg_id="1")
    job = await asyncio.wait_for(fetching, 2)
    assert job is not None and job.deliveries == 1
    await pull.aclose()


async def test_an_acknowledged_job_is_gone(bus: BusConnection, finals: RawPull) -> None:
    await bus.publish_stored(SUBJECT, b"1", msg_id="1")
    job = await finals.fetch(wait_s=2)
    assert job is not None
    await job.ack()
    async with asyncio.timeout(10):
        while (await bus.request_api("STREAM.INFO.ASR_FINAL"))["state"]["messages"]:
            pass


async def test_a_job_given_back_is_delivered_again(bus: BusConnection, finals: RawPull) -> None:
    await bus.publish_stored(SUBJECT, b"1", msg_id="1")
    first = await finals.fetch(wait_s=2)
    assert first is not None
    await first.nak()
    second = await finals.fetch(wait_s=2)
    assert second is not None and second.deliveries == 2
    await second.nak(delay_s=0.2)
    assert await finals.fetch(wait_s=0) is None
    third = await finals.fetch(wait_s=2)
    assert third is not None and third.deliveries == 3


async def test_a_terminated_job_becomes_a_dead_letter_with_its_reason(bus: BusConnection, finals: RawPull) -> None:
    await bus.publish_stored(SUBJECT, b"1", msg_id="1")
    job = await finals.fetch(wait_s=2)
    assert job is not None
    await job.term("audio header is corrupt")
    assert await finals.fetch(wait_s=0.2) is None
    state = (await bus.request_api("STREAM.INFO.DLQ"))["state"]
    assert state["messages"] == 1
    letter = await bus.request_api("STREAM.MSG.GET.DLQ", json.dumps({"seq": state["last_seq"]}).encode())
    assert "MSG_TERMINATED.ASR_FINAL" in letter["message"]["subject"]


async def test_in_progress_keeps_the_job_beyond_its_ack_wait(bus: BusConnection, finals: RawPull) -> None:
    await _shorten_ack_wait(bus, 0.3)
    await bus.publish_stored(SUBJECT, b"1", msg_id="1")
    job = await finals.fetch(wait_s=2)
    assert job is not None
    for _ in range(6):
        await job.in_progress()
        assert await finals.fetch(wait_s=0.1) is None
    again = await finals.fetch(wait_s=2)
    assert again is not None and again.deliveries == 2


async def test_a_silent_workers_job_goes_to_another(bus: BusConnection, connect_bus: ConnectBus) -> None:
    await _shorten_ack_wait(bus, 0.2)
    dying, other = (RawPull(bus, stream="ASR_FINAL", consumer="asr_std") for _ in range(2))
    await bus.publish_stored(SUBJECT, b"1", msg_id="1")
    assert await dying.fetch(wait_s=2) is not None
    job = await other.fetch(wait_s=2)
    assert job is not None and job.deliveries == 2


async def test_a_cancelled_fetch_leaves_no_pull_behind(bus: BusConnection, finals: RawPull) -> None:
    fetching = asyncio.create_task(finals.fetch(wait_s=None))
    await _pulls_waiting(bus, 1)
    fetching.cancel()
    await asyncio.gather(fetching, return_exceptions=True)
    await bus.flush()
    await bus.publish_stored(SUBJECT, b"1", msg_id="1")
    other = RawPull(bus, stream="ASR_FINAL", consumer="asr_std")
    job = await other.fetch(wait_s=2)
    assert job is not None and job.deliveries == 1


async def test_no_job_is_lost_however_fetches_are_cancelled(bus: BusConnection, finals: RawPull) -> None:
    expected = {b"%d" % number for number in range(60)}

    async def publish_all() -> None:
        for data in sorted(expected):
            await bus.publish_stored(SUBJECT, data, msg_id=data.decode())

    publishing = asyncio.create_task(publish_all())
    received: set[bytes] = set()
    turns = 0
    async with asyncio.timeout(20):
        while received != expected:
            fetching = asyncio.create_task(finals.fetch(wait_s=None))
            turns += 1
            for _ in range(turns % 23):
                await asyncio.sleep(0)
            if turns % 3:
                fetching.cancel()
            (job,) = await asyncio.gather(fetching, return_exceptions=True)
            if isinstance(job, BaseException) or job is None:
                continue
            received.add(job.data)
            await job.ack()
    await publishing
    state = (await _consumer(bus))["num_redelivered"]
    assert state == 0


async def test_a_job_that_nobody_fetches_is_given_back(
    bus: BusConnection, finals: RawPull, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_pull, "_KEEP_S", 0.05)
    await bus.publish_stored(SUBJECT, b"1", msg_id="1")
    job = await finals.fetch(wait_s=2)
    assert job is not None
    finals._offer(job)  # as if it had come after its fetch was cancelled
    other = RawPull(bus, stream="ASR_FINAL", consumer="asr_std")
    again = await other.fetch(wait_s=2)
    assert again is not None and again.deliveries == 2


async def test_it_may_be_given_back_in_another_way(bus: BusConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_pull, "_KEEP_S", 0.05)
    given_back: asyncio.Queue[Job] = asyncio.Queue()
    pull = RawPull(bus, stream="ASR_FINAL", consumer="asr_std", give_back=given_back.put)
    for number in range(2):
        await bus.publish_stored(SUBJECT, b"x", msg_id=str(number))
        job = await pull.fetch(wait_s=2)
        assert job is not None
        pull._offer(job)
        if number:
            await pull.aclose()
        assert await asyncio.wait_for(given_back.get(), 2) is job


async def test_a_late_job_goes_to_the_fetch_that_waits(bus: BusConnection, finals: RawPull) -> None:
    await bus.publish_stored(SUBJECT, b"1", msg_id="1")
    job = await finals.fetch(wait_s=2)
    assert job is not None
    fetching = asyncio.create_task(finals.fetch(wait_s=None))
    await _pulls_waiting(bus, 1)
    finals._offer(job)
    assert await asyncio.wait_for(fetching, 1) is job
    await bus.flush()
    await _pulls_waiting(bus, 0)


async def test_fetching_goes_on_after_a_restart_that_lost_the_stream(
    bus: BusConnection, finals: RawPull, nats_server: EmbeddedNats
) -> None:
    fetching = asyncio.create_task(finals.fetch(wait_s=None))
    await _pulls_waiting(bus, 1)
    restored = asyncio.Event()

    async def on_restored() -> None:
        restored.set()

    bus.on_reconnect(on_restored)
    await nats_server.kill()
    await nats_server.start()
    async with asyncio.timeout(10):
        await restored.wait()
        await bus.publish_stored(SUBJECT, b"after", msg_id="1")
        job = await fetching
    assert job is not None and job.data == b"after"


async def test_a_deleted_consumer_is_made_again(bus: BusConnection, finals: RawPull) -> None:
    fetching = asyncio.create_task(finals.fetch(wait_s=None))
    await _pulls_waiting(bus, 1)
    await bus.request_api("CONSUMER.DELETE.ASR_FINAL.asr_std")
    await bus.publish_stored(SUBJECT, b"1", msg_id="1")
    job = await asyncio.wait_for(fetching, 5)
    assert job is not None


async def test_a_consumer_that_was_never_made_is_made(bus: BusConnection) -> None:
    await bus.request_api("CONSUMER.DELETE.ASR_FINAL.asr_std")
    pull = RawPull(bus, stream="ASR_FINAL", consumer="asr_std")
    await bus.publish_stored(SUBJECT, b"1", msg_id="1")
    assert await pull.fetch(wait_s=5) is not None


async def test_two_missed_heartbeats_renew_the_pull(
    bus: BusConnection, monkeypatch: pytest.MonkeyPatch, connect_bus: ConnectBus
) -> None:
    monkeypatch.setattr(raw_pull, "_GRACE_S", 0.05)
    pull = RawPull(bus, stream="ASR_FINAL", consumer="asr_std", expires_s=30, idle_heartbeat_s=0.1)
    fetching = asyncio.create_task(pull.fetch(wait_s=None))
    await _pulls_waiting(bus, 1)
    first = pull._inbox
    assert first is not None and first.subscription is not None
    done, _ = await asyncio.wait((fetching,), timeout=0.5)
    assert not done and pull._inbox is first, "heartbeats keep a pull alive"
    await bus._client._send_unsubscribe(first.subscription._inner._id)  # the broker forgets it, and falls silent
    async with asyncio.timeout(3):
        while pull._inbox in (first, None):
            await bus.flush()
        await bus.publish_stored(SUBJECT, b"1", msg_id="1")
        assert await fetching is not None
    await pull.aclose()


async def test_higher_priority_pulls_are_served_first(bus: BusConnection, connect_bus: ConnectBus) -> None:
    near = RawPull(bus, stream="ASR_FINAL", consumer="asr_std", priority=0)
    far = RawPull(bus, stream="ASR_FINAL", consumer="asr_std", priority=5)
    far_fetch = asyncio.create_task(far.fetch(wait_s=None))
    await _pulls_waiting(bus, 1)
    near_fetch = asyncio.create_task(near.fetch(wait_s=None))
    await _pulls_waiting(bus, 2)
    await bus.publish_stored(SUBJECT, b"first", msg_id="1")
    job = await asyncio.wait_for(near_fetch, 2)
    assert job is not None and job.data == b"first" and not far_fetch.done()
    await bus.publish_stored(SUBJECT, b"second", msg_id="2")
    job = await asyncio.wait_for(far_fetch, 2)
    assert job is not None and job.data == b"second"
    await near.aclose()
    await far.aclose()


async def test_only_the_newest_partial_of_a_session_is_delivered(bus: BusConnection) -> None:
    for number in range(5):
        await bus.publish_stored("asr.partial.std.t1.s1", b"%d" % number, msg_id=f"s1:{number}")
    await bus.publish_stored("asr.partial.std.t1.s2", b"other", msg_id="s2:1")
    pull = RawPull(bus, stream="ASR_PARTIAL", consumer="asr_std")
    jobs = [await pull.fetch(wait_s=1), await pull.fetch(wait_s=1), await pull.fetch(wait_s=0)]
    assert [job and job.data for job in jobs] == [b"4", b"other", None]


async def test_one_fetch_at_a_time(bus: BusConnection, finals: RawPull) -> None:
    fetching = asyncio.create_task(finals.fetch(wait_s=None))
    await _pulls_waiting(bus, 1)
    with pytest.raises(RuntimeError, match="one fetch"):
        await finals.fetch(wait_s=0)
    fetching.cancel()


async def test_closing_ends_a_waiting_fetch_and_gives_back_what_is_kept(bus: BusConnection, finals: RawPull) -> None:
    await bus.publish_stored(SUBJECT, b"1", msg_id="1")
    job = await finals.fetch(wait_s=2)
    assert job is not None
    closing = RawPull(bus, stream="ASR_FINAL", consumer="asr_std")
    closing._offer(job)
    await closing.aclose()
    again = await finals.fetch(wait_s=1)
    assert again is not None and again.deliveries == 2
    fetching = asyncio.create_task(finals.fetch(wait_s=None))
    await _pulls_waiting(bus, 1)
    await finals.aclose()
    assert await asyncio.wait_for(fetching, 2) is None
    assert await finals.fetch(wait_s=None) is None


async def test_without_a_server_a_bounded_fetch_ends_and_an_unbounded_one_waits(
    bus: BusConnection, finals: RawPull, nats_server: EmbeddedNats
) -> None:
    await nats_server.kill()
    async with asyncio.timeout(5):
        await bus._events.disconnected.wait()
        assert await finals.fetch(wait_s=0.1) is None
        fetching = asyncio.create_task(finals.fetch(wait_s=None))
        await nats_server.start()
        await bus.wait_connected()
        await bus.ensure()
        await bus.publish_stored(SUBJECT, b"1", msg_id="1")
        assert await fetching is not None


async def test_fetching_from_a_connection_closed_for_good_raises(bus: BusConnection, finals: RawPull) -> None:
    await bus.aclose()
    with pytest.raises(BusUnavailable):
        await finals.fetch(wait_s=None)


async def _consumer(bus: BusConnection) -> dict[str, int]:
    return await bus.request_api("CONSUMER.INFO.ASR_FINAL.asr_std")


async def _pulls_waiting(bus: BusConnection, count: int) -> None:
    async with asyncio.timeout(5):
        while (await _consumer(bus))["num_waiting"] != count:
            pass


async def _shorten_ack_wait(bus: BusConnection, ack_wait_s: float) -> None:
    info = await bus.request_api("CONSUMER.INFO.ASR_FINAL.asr_std")
    config = {**info["config"], "ack_wait": round(ack_wait_s * 1e9)}
    body = {"stream_name": "ASR_FINAL", "config": config}
    await bus.request_api("CONSUMER.CREATE.ASR_FINAL.asr_std.asr.final.std.>", json.dumps(body).encode())
