"""What a client changes of an open session is what workers are asked with from then on."""

from asr_workers.held_jobs import Job
from bus.contract.work import AsrRequest
from bus.transport.connection import BusConnection
from tests.integration.broker import answer, hand_made_worker
from tests.integration.conftest import Launch
from tests.integration.gateway_client import became
from tests.integration.openai_client import MANUAL, TRANSCRIPTION, RealtimeClient, speech_24k


async def test_language_prompt_and_keywords_count_from_the_next_window(
    launch_gateway: Launch, bus: BusConnection
) -> None:
    gateway = await launch_gateway()
    finals: list[AsrRequest] = []

    async def note(job: Job, request: AsrRequest) -> None:
        finals.append(request)
        await answer(bus, request, "hello")
        await job.ack()

    async with hand_made_worker(bus, note):
        await became(gateway.port, 200)
        client = await RealtimeClient.dial(gateway.port, "intent=transcription")
        await client.update(audio={"input": {"transcription": {"language": "en"}, **MANUAL["audio"]["input"]}})
        for change in ({}, {"language": "de-AT", "prompt": "Wien", "keywords": ["Donau", "Prater"]}):
            await client.update(audio={"input": {"transcription": change}})
            await client.append(speech_24k(2))
            await client.send("input_audio_buffer.commit")
            await client.event(f"{TRANSCRIPTION}.completed")
    assert [(one.language, one.prompt, one.hotwords) for one in finals] == [
        ("en", "", ""),
        ("de", "Wien", "Donau Prater"),
    ]
