"""As much of `sounddevice` as is used; installed in its place it needs no sound card."""

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

JOIN_TIMEOUT_S = 10.0
Device = dict[str, Any]


def spoken_into(fifo: Path, *, block_bytes: int = 3_200) -> Iterator[bytes]:
    """What a test writes into a FIFO, until it closes it."""
    with fifo.open("rb") as speech:
        while block := speech.read(block_bytes):
            yield block


def with_microphone(fifo: Path, *, stays: bool) -> str:
    """The beginning of a program that hears what is written into `fifo`; `stays` as in `FakePortAudio`."""
    return f"""
import sys
from pathlib import Path
from tests.unit.clients.cli.fake_portaudio import FakePortAudio, spoken_into
blocks = spoken_into(Path({str(fifo)!r}))
sys.modules["sounddevice"] = FakePortAudio(blocks=blocks, accepted_hz={{16_000}}, stays={stays})
"""


class FakePortAudioError(Exception):
    pass


class FakePortAudio(ModuleType):
    """The module. Its streams call back from a thread of its own, as PortAudio does."""

    PortAudioError = FakePortAudioError

    def __init__(
        self, *, blocks: Iterable[bytes], accepted_hz: set[int], opens: bool = True, stays: bool = False
    ) -> None:
        super().__init__("sounddevice")
        self.devices: list[Device] = [
            {"name": "HDMI", "max_input_channels": 0, "default_samplerate": 48_000.0},
            {"name": "USB mic", "max_input_channels": 1, "default_samplerate": 44_100.0},
        ]
        self.blocks = blocks
        self.accepted_hz = accepted_hz
        self.opens = opens
        self.stays = stays
        """The device does not go away after its last block."""
        self.opened: list[Device] = []

    def query_devices(self, device: int | str | None = None, kind: str | None = None) -> Any:
        if kind is None:
            return self.devices
        if device == "nowhere":
            raise ValueError("No input device matching 'nowhere'")
        return self.devices[1]

    def check_input_settings(self, *, device: Any, channels: int, dtype: str, samplerate: int) -> None:
        if samplerate not in self.accepted_hz:
            raise FakePortAudioError("Invalid sample rate")

    def RawInputStream(self, **settings: Any) -> "FakeStream":
        if not self.opens:
            raise FakePortAudioError("Device unavailable")
        self.opened.append(settings)
        return FakeStream(self.blocks, settings["callback"], settings["finished_callback"], stays=self.stays)


class FakeStream:
    def __init__(
        self, blocks: Iterable[bytes], callback: Callable[..., None], finished: Callable[[], None], *, stays: bool
    ) -> None:
        self._blocks = blocks
        self._callback = callback
        self._finished = finished
        self._closing = threading.Event()
        if not stays:
            self._closing.set()
        self._thread = threading.Thread(target=self._capture)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join(JOIN_TIMEOUT_S)

    def _capture(self) -> None:
        for block in self._blocks:
            buffer = bytearray(block)
            self._callback(buffer, len(block) // 2, None, None)
            buffer[:] = bytes(len(block))
        self._closing.wait(JOIN_TIMEOUT_S)
        self._finished()
