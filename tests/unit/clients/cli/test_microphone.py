import asyncio
import sys
from contextlib import aclosing
from types import ModuleType

import pytest

from clients.cli import microphone
from clients.cli.microphone import BlockQueue, Microphone, MicrophoneError
from clients.cli.sources import microphone_source
from tests.unit.clients.cli.fake_portaudio import FakePortAudio

PATIENCE_S = 10.0


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    fake = FakePortAudio(blocks=[b"aa", b"bb"], accepted_hz={16_000})
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


async def test_blocks_are_copied_and_come_in_order_until_the_device_goes_away(portaudio: FakePortAudio) -> None:
    found = Microphone.find(None)
    received = []
    async with aclosing(found.blocks(BlockQueue())) as blocks:
        with pytest.raises(MicrophoneError, match="went away"):
            async for block in blocks:
                received.append(block)  # noqa: PERF401
    assert received == [b"aa", b"bb"]
    assert (portaudio.opened[0]["samplerate"], portaudio.opened[0]["blocksize"]) == (16_000, 1_600)


def test_a_device_without_16_khz_is_recorded_at_its_own_rate(portaudio: FakePortAudio) -> None:
    portaudio.accepted_hz = {44_100}
    assert Microphone.find("USB").rate_hz == 44_100


@pytest.mark.parametrize(("asked", "device"), [("3", 3), ("USB", "USB"), (None, None)])
def test_a_device_is_named_by_number_or_name(portaudio: FakePortAudio, asked: str | None, device: object) -> None:
    assert Microphone.find(asked).device == device


def test_a_device_that_does_not_exist_is_answered_with_those_that_do(portaudio: FakePortAudio) -> None:
    with pytest.raises(MicrophoneError, match="Devices: USB mic"):
        Microphone.find("nowhere")


def test_a_machine_without_any_microphone_says_so(portaudio: FakePortAudio) -> None:
    portaudio.devices.pop()
    with pytest.raises(MicrophoneError, match="Devices: none"):
        Microphone.find("nowhere")


async def test_a_device_that_is_taken_is_an_error(portaudio: FakePortAudio) -> None:
    portaudio.opens = False
    async with aclosing(Microphone.find(None).blocks(BlockQueue())) as blocks:
        with pytest.raises(MicrophoneError, match="Device unavailable"):
            await anext(blocks)


@pytest.mark.parametrize(
    ("missing", "advice"),
    [(ImportError("No module"), "pip install -e '.\\[mic\\]'"), (OSError("no library"), "apt install libportaudio2")],
)
def test_what_is_not_installed_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, missing: Exception, advice: str
) -> None:
    def fail(name: str) -> ModuleType:
        raise missing

    monkeypatch.setattr(microphone, "import_module", fail)
    with pytest.raises(MicrophoneError, match=advice):
        Microphone.find(None)


async def test_the_oldest_block_is_dropped_and_counted_when_the_network_is_too_slow() -> None:
    waiting = BlockQueue(max_blocks=2)
    for block in (b"1", b"2", b"3"):
        waiting.put(block)
    waiting.end()
    assert [await waiting.take(), await waiting.take(), await waiting.take()] == [b"2", b"3", None]
    assert waiting.dropped_blocks == 1


async def test_a_stop_lets_no_more_in_and_ends_after_what_waits() -> None:
    waiting = BlockQueue(max_blocks=1)
    waiting.put(b"1")
    waiting.stop()
    waiting.put(b"2")
    assert [await waiting.take(), await waiting.take()] == [b"1", None]
    assert waiting.dropped_blocks == 0


async def test_a_microphone_that_is_finished_gives_what_waits_and_its_end_is_no_fault(portaudio: FakePortAudio) -> None:
    portaudio.blocks = []
    waiting = BlockQueue()
    for block in (b"1", b"2", b"3"):
        waiting.put(block)
    source = microphone_source(Microphone.find(None), waiting)
    async with aclosing(source.chunks()) as chunks:
        received = [await anext(chunks)]
        assert source.finish is not None
        source.finish()
        received += [block async for block in chunks]
    assert received == [b"1", b"2", b"3"]


async def test_taking_waits_for_the_next_block() -> None:
    waiting = BlockQueue()
    taking = asyncio.create_task(waiting.take())
    await asyncio.sleep(0)
    waiting.put(b"1")
    assert await asyncio.wait_for(taking, PATIENCE_S) == b"1"
