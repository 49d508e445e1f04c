"""OpenAI Realtime through a real gateway, real workers with scripted engines, and a real nats-server."""

import asyncio
import signal
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from llm_workers.engines.scripted import expected_answer
from tests.integration.conftest import Launch
from tests.integration.gateway_client import became, undisturbed_text
from tests.integration.gateway_client import speech as speech_16k
from tests.integration.openai_client import MANUAL, TRANSCRIPTION, RealtimeClient, encoded, speech_24k

SLOW = "tokens_per_s=50"
LONG = "count with me scripted:tokens=120"
RESPONSE = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]


@pytest.fixture
async def gateway(launch_gateway: Launch, launch_worker: Launch, launch_llm_worker: Launch) -> int:
    """The port of a gateway that knows a worker of each kind."""
    service = await launch_gateway()
    await launch_worker()
    await launch_llm_worker(HARKEN_LLM_ENGINE_SETTINGS=SLOW)
    await became(service.port, 200)
    return service.port


async def conversation(port: int, **session: Any) -> RealtimeClient:
    client = await RealtimeClient.dial(port)
    created = await client.event("session.created")
    assert created["session"]["type"] == "realtime"
    if session:
        await client.update(type="realtime", **session)
    return client


async def transcription(port: int, **session: Any) -> RealtimeClient:
    client = await RealtimeClient.dial(port, "intent=transcription")
    created = await client.event("session.created")
    assert created["session"]["type"] == "transcription"
    if session:
        await client.update(type="transcription", **session)
    return client


async def answered(client: RealtimeClient) -> dict[str, Any]:
    response: dict[str, Any] = (await client.event("response.done"))["response"]
    return response


async def test_a_spoken_turn_is_told_in_the_order_that_clients_count_on(gateway: int) -> None:
    client = await transcription(gateway)
    await client.append(speech_24k()[:24_001])  # half a sample: its rest comes with the next
    await client.append(speech_24k()[24_001:])
    completed = await client.event(f"{TRANSCRIPTION}.completed")
    kinds = client.kinds(since="input_audio_buffer.speech_started")
    assert [kind for kind in kinds if not kind.endswith("delta")][:6] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        f"{TRANSCRIPTION}.completed",
    ]
    assert {event["item_id"] for event in client.events if "item_id" in event} == {completed["item_id"]}
    assert completed["transcript"] == await undisturbed_text(gateway, speech_16k())
    assert 5 < completed["usage"]["seconds"] < 8
    (started,) = client.of("input_audio_buffer.speech_started")
    (stopped,) = client.of("input_audio_buffer.speech_stopped")
    assert 300 <= started["audio_start_ms"] <= 700
    assert 6500 <= stopped["audio_end_ms"] <= 7500
    said = "".join(event["delta"] for event in client.of(f"{TRANSCRIPTION}.delta"))
    assert said and completed["transcript"].startswith(said)


async def test_a_client_that_commits_ends_its_turns_itself(gateway: int) -> None:
    client = await transcription(gateway, **MANUAL)
    await client.send("input_audio_buffer.commit", event_id="too early")
    error = (await client.event("error"))["error"]
    assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "too early")
    await client.append(speech_24k(3))
    await client.send("input_audio_buffer.commit")
    first = await client.event(f"{TRANSCRIPTION}.completed")
    await client.append(speech_24k(2))
    await client.send("input_audio_buffer.clear")
    await client.event("input_audio_buffer.cleared")
    await client.append(speech_24k(3))
    await client.send("input_audio_buffer.commit")
    second = await client.event(f"{TRANSCRIPTION}.completed")
    assert first["transcript"] and second["transcript"]
    assert not client.of("input_audio_buffer.speech_started")
    assert [event["previous_item_id"] for event in client.of("input_audio_buffer.committed")] == [
        None,
        first["item_id"],
    ]
    assert second["usage"]["seconds"] == pytest.approx(3, abs=0.1)
    await client.send("conversation.item.retrieve", item_id=second["item_id"])
    item = (await client.event("conversation.item.retrieved"))["item"]
    assert item["content"] == [{"type": "input_audio", "transcript": second["transcript"]}]


async def test_a_client_may_change_how_its_turns_end_while_it_is_heard(gateway: int) -> None:
    client = await transcription(gateway)
    await client.append(speech_24k(3))
    started = await client.event("input_audio_buffer.speech_started")
    session = await client.update(**MANUAL)
    assert session["audio"]["input"]["turn_detection"] is None
    await client.append(speech_24k(8)[3 * 48_000 :])
    await client.append(bytes(96_000))
    await client.send("input_audio_buffer.commit")
    first = await client.event(f"{TRANSCRIPTION}.completed")
    assert first["item_id"] == started["item_id"]
    assert first["usage"]["seconds"] == pytest.approx(10, abs=1)  # the silence is in it: it ended nothing

    detection = {"type": "server_vad", "silence_duration_ms": 400}
    slower = {"type": "audio/pcm", "rate": 16_000}
    session = await client.update(audio={"input": {"format": slower, "turn_detection": detection}})
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 400
    await client.append(speech_16k())
    second = await client.event(f"{TRANSCRIPTION}.completed")
    assert 5 < second["usage"]["seconds"] < 8
    assert len(client.of("input_audio_buffer.speech_started")) == 2

    await client.update(**MANUAL)
    await client.append(bytes(64_000) + speech_16k(3))
    await client.update(audio={"input": {"turn_detection": detection}})
    await client.append(speech_16k()[3 * 32_000 :])
    third = await client.event(f"{TRANSCRIPTION}.completed")
    assert third["transcript"] and 5 < third["usage"]["seconds"] < 8  # of which the silence before is no part
    assert not client.of("error")


async def test_a_commit_during_silence_is_refused_and_ends_nothing(gateway: int) -> None:
    client = await transcription(gateway)
    await client.append(bytes(48_000))
    await client.send("input_audio_buffer.commit", event_id="c1")
    error = (await client.event("error"))["error"]
    assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "c1")
    await client.append(speech_24k(4))
    await client.send("input_audio_buffer.commit")
    await client.event(f"{TRANSCRIPTION}.completed")


@pytest.mark.parametrize("encoding", ["audio/pcmu", "audio/pcma"])
async def test_telephone_audio_is_heard(gateway: int, encoding: str) -> None:
    client = await transcription(gateway, audio={"input": {"format": {"type": encoding}, "turn_detection": None}})
    await client.append(b"\xd5\x55\x2a" * 4000)
    await client.send("input_audio_buffer.commit")
    completed = await client.event(f"{TRANSCRIPTION}.completed")
    assert completed["usage"]["seconds"] == pytest.approx(1.5, abs=0.05)


async def test_a_typed_turn_is_answered_in_the_full_order(gateway: int) -> None:
    client = await conversation(gateway, instructions="be brief")
    await client.say("hello there", id="mine")
    await client.event("conversation.item.done")
    await client.send("response.create", response={"metadata": {"client_event_id": "r1"}})
    done = await answered(client)
    assert client.kinds(since="response.created") == RESPONSE
    created = client.of("response.created")[0]["response"]
    assert created["metadata"] == done["metadata"] == {"client_event_id": "r1"}
    assert (created["status"], created["output"], done["status"]) == ("in_progress", [], "completed")
    text = "".join(event["delta"] for event in client.of("response.output_text.delta"))
    assert text == client.of("response.output_text.done")[0]["text"] == expected_answer("hello there")
    assert done["output"][0]["content"] == [{"type": "output_text", "text": text}]
    assert done["usage"]["output_tokens"] == 24
    assert {event["response_id"] for event in client.events if "response_id" in event} == {done["id"]}
    assert client.of("conversation.item.added")[1]["previous_item_id"] == "mine"


async def test_one_response_at_a_time_and_a_cancel_closes_what_is_open(gateway: int) -> None:
    client = await conversation(gateway)
    await client.send("response.cancel", event_id="none yet")
    error = (await client.event("error"))["error"]
    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "none yet")
    assert error["message"].startswith("Cancellation failed")
    await client.say(LONG)
    await client.send("response.create")
    await client.event("response.output_text.delta")
    await client.send("response.create", event_id="second")
    error = (await client.event("error"))["error"]
    assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")
    await client.send("response.cancel")
    done = await answered(client)
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
    assert done["output"][0]["status"] == "incomplete"
    assert client.kinds()[-5:] == RESPONSE[-5:]
    await client.say("hello there")
    await client.send("response.create")
    assert (await answered(client))["status"] == "completed"


async def test_a_response_is_as_long_as_it_may_be(gateway: int) -> None:
    client = await conversation(gateway)
    await client.say(LONG)
    await client.send("response.create", response={"max_output_tokens": 5})
    done = await answered(client)
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")


async def test_a_spoken_turn_is_answered_unasked_and_whoever_begins_to_speak_stops_it(gateway: int) -> None:
    client = await conversation(gateway)
    await client.say(LONG)
    await client.send("response.create")
    await client.event("response.output_text.delta")
    await client.append(speech_24k())
    done = await answered(client)
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")
    created = await client.event("response.created")
    assert client.of(f"{TRANSCRIPTION}.completed")
    done = await answered(client)
    assert (done["id"], done["status"]) == (created["response"]["id"], "completed")
    assert done["output"][0]["content"][0]["text"]


async def test_a_response_that_is_not_to_be_interrupted_goes_on_while_somebody_speaks(gateway: int) -> None:
    detection = {"type": "server_vad", "interrupt_response": False, "create_response": False}
    client = await conversation(gateway, audio={"input": {"turn_detection": detection}})
    await client.say(LONG)
    await client.send("response.create")
    await client.event("response.output_text.delta")
    await client.append(speech_24k())
    assert (await answered(client))["status"] == "completed"
    if not client.of(f"{TRANSCRIPTION}.completed"):
        await client.event(f"{TRANSCRIPTION}.completed")
    await client.send("response.create")
    assert (await answered(client))["status"] == "completed"
    assert len(client.of("response.created")) == 2


async def test_audio_that_comes_in_an_item_is_transcribed(gateway: int) -> None:
    client = await conversation(gateway)
    content = [{"type": "input_audio", "audio": encoded(speech_24k(4))}]
    await client.send(
        "conversation.item.create", item={"type": "message", "role": "user", "id": "a", "content": content}
    )
    completed = await client.event(f"{TRANSCRIPTION}.completed")
    assert completed["item_id"] == "a" and completed["transcript"]
    assert not client.of("input_audio_buffer.speech_started")
    await client.send("response.create")
    done = await answered(client)
    assert done["output"][0]["content"][0]["text"] == expected_answer(completed["transcript"])
    assert len(client.of("response.created")) == 1


async def test_items_are_kept_forgotten_and_named_as_the_client_says(gateway: int) -> None:
    client = await conversation(gateway)
    await client.say("first", id="one")
    await client.say("again", id="one")
    assert (await client.event("error"))["error"]["code"] == "item_create_duplicate_item_id"
    await client.say("second", id="two")
    await client.send("conversation.item.delete", item_id="one")
    assert (await client.event("conversation.item.deleted"))["item_id"] == "one"
    for what in ("delete", "retrieve", "truncate"):
        await client.send(f"conversation.item.{what}", item_id="one", event_id=what, content_index=0, audio_end_ms=0)
        error = (await client.event("error"))["error"]
        assert (error["code"], error["event_id"]) == (f"item_{what}_invalid_item_id", what)
    await client.send("response.create")
    done = await answered(client)
    assert done["output"][0]["content"][0]["text"] == expected_answer("second")


async def test_what_is_wrong_is_told_with_the_id_of_the_event_and_ends_nothing(gateway: int) -> None:
    client = await conversation(gateway)
    await client.send("nonsense", event_id="n")
    assert (await client.event("error"))["error"]["event_id"] == "n"
    await client.socket.send("no json")
    assert (await client.event("error"))["error"]["code"] == "invalid_json"
    await client.socket.send(b"\0\0")
    await client.event("error")
    await client.send(
        "session.update", event_id="u", session={"audio": {"input": {"turn_detection": {"threshold": "x"}}}}
    )
    error = (await client.event("error"))["error"]
    assert (error["event_id"], error["param"]) == ("u", "session.audio.input.turn_detection.threshold")
    await client.say("hello there")
    await client.send("response.create")
    assert (await answered(client))["status"] == "completed"


async def test_the_beta_is_spoken_to_who_asks_for_it(gateway: int) -> None:
    client = await RealtimeClient.dial(gateway, headers={"OpenAI-Beta": "realtime=v1"})
    assert "type" not in (await client.event("session.created"))["session"]
    effective = await client.update(modalities=["text"], turn_detection=None, input_audio_format="pcm16")
    assert (effective["turn_detection"], effective["input_audio_format"]) == (None, "pcm16")
    await client.say("hello there")
    await client.event("conversation.item.created")
    await client.send("response.create", response={"modalities": ["text"]})
    done = await answered(client)
    assert done["output"][0]["content"] == [{"type": "text", "text": expected_answer("hello there")}]
    assert client.of("response.text.delta") and client.of("response.text.done")


async def test_a_session_without_anybody_to_answer_still_listens(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway()
    await launch_worker()
    await became(gateway.port, 200)
    client = await conversation(gateway.port, **MANUAL)
    await client.append(speech_24k(3))
    await client.send("input_audio_buffer.commit")
    await client.event(f"{TRANSCRIPTION}.completed")
    await client.send("response.create")
    done = await answered(client)
    assert (done["status"], done["status_details"]["error"]["code"]) == ("failed", "no_worker")
    assert not client.of("error")


async def test_a_gateway_that_goes_away_closes_with_1012_and_no_error(
    launch_gateway: Launch, launch_worker: Launch
) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_DRAIN_TIMEOUT_S="0.5")
    await launch_worker()
    await became(gateway.port, 200)
    client = await transcription(gateway.port)
    await client.append(bytes(4800))
    gateway.process.send_signal(signal.SIGTERM)
    with pytest.raises(ConnectionClosed):
        await client.event("never")
    assert client.socket.close_code == 1012
    assert not client.of("error")
    await asyncio.wait_for(gateway.process.wait(), 30)


async def test_a_worker_that_dies_is_a_pause_and_no_error(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway()
    worker = await launch_worker()
    await became(gateway.port, 200)
    client = await transcription(gateway.port)
    await client.append(speech_24k(4))
    await client.event("input_audio_buffer.speech_started")
    await worker.stop(signal.SIGKILL)
    await client.append(speech_24k()[4 * 48_000 :])
    await client.event("input_audio_buffer.committed")
    await became(gateway.port, 503)
    await launch_worker()
    completed = await client.event(f"{TRANSCRIPTION}.completed")
    assert completed["transcript"]
    assert not client.of("error")


async def test_a_conversation_in_text_needs_nobody_who_transcribes(
    launch_gateway: Launch, launch_llm_worker: Launch
) -> None:
    service = await launch_gateway()
    await launch_llm_worker()
    async with asyncio.timeout(60):
        while True:  # the worker is known within one heartbeat
            client = await conversation(service.port)
            await client.say("hello there")
            await client.send("response.create")
            response = (await client.event("response.done"))["response"]
            if response["status"] == "completed":
                break
            await client.socket.close()
    assert response["output"][0]["content"][0]["text"] == expected_answer("hello there")
    await client.append(speech_24k(1))
    assert (await client.event("error"))["error"]["code"] == "no_chat"
    await client.send("input_audio_buffer.commit")
    assert (await client.event("error"))["error"]["code"] == "input_audio_buffer_commit_empty"
    await client.socket.close()


async def test_speech_does_need_somebody(launch_gateway: Launch, launch_llm_worker: Launch) -> None:
    service = await launch_gateway()
    await launch_llm_worker()
    client = await conversation(service.port)
    await client.append(speech_24k(1))
    assert (await client.event("error"))["error"]["code"] == "no_worker"
