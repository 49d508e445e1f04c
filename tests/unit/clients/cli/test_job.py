import asyncio
import sys
from pathlib import Path

import pytest

from clients.cli.job import InputOptions, OutputOptions, exit_status, run_job
from clients.cli.transcription import Outcome, SessionOptions
from clients.cli.writers import Format
from tests.unit.clients.cli.fake_portaudio import FakePortAudio
from tests.unit.clients.cli.recordings import write_recording
from tests.unit.clients.stub_service import StubService

PATIENCE_S = 20.0


def reading(*files: Path, mic: bool = False) -> InputOptions:
    return InputOptions(
        files=tuple(map(str, files)),
        mic=mic,
        device=None,
        raw_format=None,
        rate_hz=16_000,
        raw_channels=1,
        separate_channels=False,
    )


def writing(
    kind: Format = "text",
    *,
    output: Path | None = None,
    output_dir: Path | None = None,
    live: bool = False,
    stats: bool = False,
) -> OutputOptions:
    return OutputOptions(format=kind, output=output, output_dir=output_dir, live=live, stats=stats, jobs=2)


async def run(inputs: InputOptions, outputs: OutputOptions) -> int:
    async with StubService() as service, asyncio.timeout(PATIENCE_S):
        return await run_job(inputs, outputs, SessionOptions(urls=(service.url,)))


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([], 0),
        ([Outcome(), Outcome()], 0),
        ([Outcome(), Outcome(interrupted=True)], 130),
        ([Outcome(error="torn tape"), Outcome(interrupted=True)], 1),
    ],
)
def test_a_failure_counts_more_than_an_interruption(outcomes: list[Outcome], status: int) -> None:
    assert exit_status(outcomes) == status


async def test_text_goes_to_stdout_and_figures_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(reading(write_recording(tmp_path / "a.wav")), writing(stats=True)) == 0
    captured = capsys.readouterr()
    assert captured.out == "This is segment 1.\n"
    assert captured.err.startswith("latencies\n")


async def test_the_live_view_takes_nothing_away_from_a_piped_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(reading(write_recording(tmp_path / "a.wav")), writing(live=True)) == 0
    captured = capsys.readouterr()
    assert captured.out == "This is segment 1.\n"
    assert "[00:00.0] This is segment 1." in captured.err


async def test_a_file_takes_the_place_of_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.vtt"
    assert await run(reading(write_recording(tmp_path / "a.wav")), writing("vtt", output=output)) == 0
    assert output.read_text().startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n")
    assert capsys.readouterr().out == ""


async def test_a_directory_is_made_for_one_file_per_input(tmp_path: Path) -> None:
    paths = [write_recording(tmp_path / name) for name in ("a.wav", "b.wav")]
    assert await run(reading(*paths), writing(output_dir=tmp_path / "x" / "y")) == 0
    assert sorted(path.name for path in (tmp_path / "x" / "y").iterdir()) == ["a.txt", "b.txt"]


async def test_the_microphone_is_transcribed_and_lost_audio_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The fake speaks faster than anyone can, and the queue holds two seconds only.
    fake = FakePortAudio(blocks=[bytes(3_200)] * 310, accepted_hz={16_000})
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.setattr("clients.cli.microphone.BlockQueue.__init__.__kwdefaults__", {"max_blocks": 20})
    assert await run(reading(mic=True), writing()) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("This is segment 1.\n")
    assert "microphone: the microphone went away" in captured.err
    assert "s were lost" in captured.err
