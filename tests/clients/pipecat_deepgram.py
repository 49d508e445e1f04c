"""Pipecat's Deepgram service, unmodified, in a pipeline: streams a file, finalizes at its end, and tells what it heard.

A script of its own, for the package brings most of a gigabyte. Arguments: the port of the service, and a file of 16-bit
mono samples at 16 kHz. Prints one JSON object.
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
    TranscriptionFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import WorkerRunner
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.deepgram.stt import DeepgramSTTService

_FRAME_BYTES = 3_200
_WITHIN_S = 60.0


class Listener(FrameProcessor):  # type: ignore[misc]  # Pipecat is not installed where types are checked
    """Keeps what comes out of the service."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.errors: list[str] = []
        self.finalized = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Note a frame and pass it on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            self.texts.append(frame.text)
            if frame.finalized:
                self.finalized.set()
        elif isinstance(frame, ErrorFrame):
            self.errors.append(frame.error)
        await self.push_frame(frame, direction)


async def main(port: str, audio: bytes) -> None:
    """See the module text."""
    service = DeepgramSTTService(api_key="any", base_url=f"ws://127.0.0.1:{port}", sample_rate=16_000)
    listener = Listener()
    worker = PipelineWorker(Pipeline([service, listener]), params=PipelineParams(audio_in_sample_rate=16_000))
    started = asyncio.Event()

    @worker.event_handler("on_pipeline_started")  # type: ignore[untyped-decorator]
    async def on_started(_worker: object, _frame: object) -> None:
        started.set()

    async def speak() -> None:
        await started.wait()
        for offset in range(0, len(audio), _FRAME_BYTES):
            await worker.queue_frame(InputAudioRawFrame(audio[offset : offset + _FRAME_BYTES], 16_000, 1))
        await worker.queue_frame(VADUserStoppedSpeakingFrame())
        await listener.finalized.wait()
        await worker.queue_frame(EndFrame())

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    async with asyncio.timeout(_WITHIN_S):
        await asyncio.gather(runner.run(), speak())
    sys.stdout.write(json.dumps({"texts": listener.texts, "errors": listener.errors}))


asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes()))
