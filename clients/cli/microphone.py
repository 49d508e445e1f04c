"""Live audio from a sound device through PortAudio (extra `mic`)."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

PREFERRED_RATE_HZ = 16_000
BLOCK_S = 0.1
MAX_WAITING_BLOCKS = 300
"""30 s of speech may wait for the network."""


class MicrophoneError(Exception):
    """No usable microphone; the message says what to do."""


class BlockQueue:
    """Captured blocks on their way to the service. Used from the event loop alone.

    Overflow rule: a capture cannot wait, so the oldest block is dropped and `dropped_blocks` counts it: what is
    said now matters more than what was said half a minute ago.
    """

    def __init__(self, *, max_blocks: int = MAX_WAITING_BLOCKS) -> None:
        self._blocks: deque[bytes] = deque(maxlen=max_blocks)
        self._changed = asyncio.Event()
        self._ended = False
        self.is_stopped = False
        """No more is wanted: `stop` was called."""
        self.dropped_blocks = 0

    def put(self, block: bytes) -> None:
        """Queue one block, unless stopped; never waits."""
        if self.is_stopped:
            return
        self.dropped_blocks += len(self._blocks) == self._blocks.maxlen
        self._blocks.append(block)
        self._changed.set()

    def end(self) -> None:
        """Let `take` give None once the queue is empty. Idempotent."""
        self._ended = True
        self._changed.set()

    def stop(self) -> None:
        """Let no more blocks in, and `take` give those that wait, then None. Idempotent."""
        self.is_stopped = True
        self.end()

    async def take(self) -> bytes | None:
        """Wait for the oldest block; None after the end. Cancel-safe."""
        while not self._blocks:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._blocks.popleft()


@dataclass(frozen=True, slots=True)
class Microphone:
    """An input device that was found and accepts `rate_hz`, 16-bit mono."""

    portaudio: ModuleType
    device: int | str | None
    rate_hz: int

    @classmethod
    def find(cls, device: str | None) -> "Microphone":
        """Find the device by number or part of its name, None for the system's default.

        Blocking. Prefers 16 kHz, else the device's own rate. Raises MicrophoneError.
        """
        portaudio = _load_portaudio()
        wanted: int | str | None = int(device) if device is not None and device.isdecimal() else device
        try:
            default_hz = int(portaudio.query_devices(wanted, "input")["default_samplerate"])
            rate_hz = PREFERRED_RATE_HZ if _accepts(portaudio, wanted, PREFERRED_RATE_HZ) else default_hz
        except (portaudio.PortAudioError, ValueError) as error:
            raise MicrophoneError(f"no microphone to record from: {error}. Devices: {_names(portaudio)}") from error
        return cls(portaudio, wanted, rate_hz)

    async def blocks(self, waiting: BlockQueue) -> AsyncGenerator[bytes, None]:
        """Record until closed, or until `waiting` is stopped: then the blocks that wait still come.

        Blocks of `BLOCK_S` come in order. Raises MicrophoneError if the device cannot be opened or goes away.
        """
        loop = asyncio.get_running_loop()

        def on_block(data: Any, frames: int, time: Any, status: Any) -> None:
            # On PortAudio's own thread: the buffer is only valid during this call.
            loop.call_soon_threadsafe(waiting.put, bytes(data))

        def on_finished() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(waiting.end)

        try:
            stream = self.portaudio.RawInputStream(
                samplerate=self.rate_hz,
                blocksize=int(self.rate_hz * BLOCK_S),
                device=self.device,
                channels=1,
                dtype="int16",
                callback=on_block,
                finished_callback=on_finished,
            )
            with stream:
                while not waiting.is_stopped and (block := await waiting.take()) is not None:
                    yield block
        except self.portaudio.PortAudioError as error:
            raise MicrophoneError(f"the microphone cannot be opened: {error}") from error
        while (block := await waiting.take()) is not None:
            yield block
        if not waiting.is_stopped:
            raise MicrophoneError("the microphone went away")


def _load_portaudio() -> ModuleType:
    try:
        return import_module("sounddevice")
    except ImportError as error:
        raise MicrophoneError("--mic needs the extra package: pip install -e '.[mic]'") from error
    except OSError as error:
        raise MicrophoneError("--mic needs the PortAudio library: apt install libportaudio2") from error


def _accepts(portaudio: ModuleType, device: int | str | None, rate_hz: int) -> bool:
    try:
        portaudio.check_input_settings(device=device, channels=1, dtype="int16", samplerate=rate_hz)
    except portaudio.PortAudioError:
        return False
    return True


def _names(portaudio: ModuleType) -> str:
    names = [device["name"] for device in portaudio.query_devices() if device["max_input_channels"] > 0]
    return ", ".join(names) or "none"
