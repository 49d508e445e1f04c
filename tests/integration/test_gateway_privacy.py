"""No key, prompt, hotword or transcript is in what a gateway or a worker logs or counts, whatever happens to it."""

import json
import re
import signal

import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.conftest import Launch
from tests.integration.gateway_client import closed_with, dial, event, get, half_said, said, say_the_rest, speech

pytestmark = pytest.mark.weights
KEY, WRONG_KEY = "key-of-acme-71", "key-of-nobody-72"
PROMPT = "previously mumbled words"
HOTWORDS = ["Zarquon", "Vogsphere"]
SCRIPTED_WORD = re.compile(r"\bw\d{1,3}\b")
"""What the scripted engine hears; no id of ours is so short."""
STREAM = f"/v1/stream?token={KEY}"
WISHES = {"path": STREAM, "prompt": PROMPT, "hotwords": HOTWORDS}


async def test_no_log_and_no_metric_holds_a_key_or_a_users_words(launch_gateway: Launch, launch_worker: Launch) -> None:
    gateway = await launch_gateway(HARKEN_GATEWAY_API_KEYS=f"acme={KEY}", HARKEN_LOG_LEVEL="debug")
    worker = await launch_worker(HARKEN_LOG_LEVEL="debug")

    with pytest.raises(InvalidStatus):
        await dial(gateway.port, f"/v1/stream?token={WRONG_KEY}")
    socket = await half_said(gateway.port, **WISHES)
    for wrong in (f"{{{PROMPT}", json.dumps({"type": PROMPT}), json.dumps({"type": "session.start", PROMPT: PROMPT})):
        await socket.send(wrong)
        assert PROMPT not in json.dumps(await event(socket, "error"))
    await say_the_rest(socket)
    assert SCRIPTED_WORD.search((await event(socket, "transcript.final"))["text"])
    assert await closed_with(socket) == 1000
    socket = await said(gateway.port, speech(4), **{**WISHES, "hotwords": [*HOTWORDS, "scripted:raise"]})
    await event(socket, "transcript.failed")
    assert await closed_with(socket) == 1000
    socket = await half_said(gateway.port, **WISHES)
    socket.transport.abort()
    await worker.logged("window failed")

    metrics = [(await get(process.port, "/metrics"))[2] for process in (gateway, worker)]
    await gateway.stop(signal.SIGTERM)
    await worker.stop(signal.SIGTERM)
    logs = [process.output.decode() for process in (gateway, worker)]
    assert "session closed" in logs[0] and "window failed" in logs[1]
    assert "harken_segment_stage_seconds" in metrics[0] and "harken_asr_batch_size" in metrics[1]
    for text in (*logs, *metrics):
        found = [secret for secret in (KEY, WRONG_KEY, PROMPT, *HOTWORDS) if secret in text]
        assert not found
        assert not SCRIPTED_WORD.search(text)
