"""Pipecat's speech services, unmodified, in a pipeline: stream a file twice, and tell what they heard.

A script of its own, for the package brings most of a gigabyte. Arguments: the service (`deepgram`, `openai` which
commits its turns, `openai_vad` whose turns are found), its port, and a file of 16-bit mono samples at 16 kHz. Between
the two times the language is changed, where the service can do that on an open socket. Prints one JSON object.
"""

import asyncio
import json
import sys
from pathlib import Path

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    STTUpdateSettingsFrame,
    TranscriptionFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import WorkerRunner
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.openai.stt import OpenAIRealtimeSTTService
from pipecat.transcriptions.language import Language

_FRAME_BYTES = 3_200
_WITHIN_S = 60.0


class Listener(FrameProcessor):  # type: ignore[misc]  # Pipecat is not installed where types are checked
    """Keeps what comes out of the service."""

    def __init__(self, *, awaits_confirmation: bool) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.errors: list[str] = []
        self.heard = asyncio.Event()
        self._awaits_confirmation = awaits_confirmation

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Note a frame and pass it on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            self.texts.append(frame.text)
            if frame.finalized or not self._awaits_confirmation:
                self.heard.set()
        elif isinstance(frame, ErrorFrame):
            self.errors.append(frame.error)
            self.heard.set()
        await self.push_frame(frame, direction)


def service_of(name: str, port: str) -> FrameProcessor:
    """The service under test, pointed at the gateway."""
    if name == "deepgram":
        return DeepgramSTTService(api_key="any", base_url=f"ws://127.0.0.1:{port}", sample_rate=16_000)
    return OpenAIRealtimeSTTService(
        api_key="any",
        base_url=f"ws://127.0.0.1:{port}/v1/realtime",
        turn_detection={"type": "server_vad"} if name == "openai_vad" else False,
        sample_rate=16_000,
    )


async def main(name: str, port: str, audio: bytes) -> None:
    """See the module text."""
    service = service_of(name, port)
    listener = Listener(awaits_confirmation=name == "deepgram")
    worker = PipelineWorker(Pipeline([service, listener]), params=PipelineParams(audio_in_sample_rate=16_000))
    started = asyncio.Event()

    @worker.event_handler("on_pipeline_started")  # type: ignore[untyped-decorator]
    async def on_started(_worker: object, _frame: object) -> None:
        started.set()

    async def say() -> None:
        listener.heard.clear()
        for offset in range(0, len(audio), _FRAME_BYTES):
            await worker.queue_frame(InputAudioRawFrame(audio[offset : offset + _FRAME_BYTES], 16_000, 1))
        await worker.queue_frame(VADUserStoppedSpeakingFrame())
        await listener.heard.wait()

    async def converse() -> None:
        await started.wait()
        await say()
        if name != "deepgram":
            changes = OpenAIRealtimeSTTService.Settings(language=Language.DE)
            await worker.queue_frame(STTUpdateSettingsFrame(delta=changes))
            await say()
        await worker.queue_frame(EndFrame())

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    async with asyncio.timeout(_WITHIN_S):
        await asyncio.gather(runner.run(), converse())
    sys.stdout.write(json.dumps({"texts": listener.texts, "errors": listener.errors}))


asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_bytes()))
