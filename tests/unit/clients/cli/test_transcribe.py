"""The command as users run it: a process of its own against a service on a real socket."""

import asyncio
import json
import os
import pty
import signal
import sys
import tty
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from bus.contract.client_protocol import AudioEnd, AudioFormat
from clients.cli.transcribe import split_hotwords, transcribe
from tests.unit.clients.cli.recordings import tone, write_recording
from tests.unit.clients.events import ended, final
from tests.unit.clients.stub_service import NOBODY, StubService, StubSession

PATIENCE_S = 30.0
PROGRAM = "from clients.cli.transcribe import transcribe; transcribe()"


@asynccontextmanager
async def harken_transcribe(
    *arguments: str | Path, stdin: int = PIPE, stdout: int = PIPE, stderr: int = PIPE
) -> AsyncIterator[Process]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HARKEN_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, *map(str, arguments),
        stdin=stdin, stdout=stdout, stderr=stderr, env={**environment, "COLUMNS": "100", "TERM": "xterm"},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run(*arguments: str | Path, stdin: bytes = b"") -> tuple[int, str, str]:
    async with harken_transcribe(*arguments) as process:
        out, err = await asyncio.wait_for(process.communicate(stdin), PATIENCE_S)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


async def hold_after_one_final(session: StubSession) -> None:
    """Send one final at once, and the last one when the client ends its audio."""
    await session.open()
    await session.send(final(2, segment=1, text="the first words"))
    while not isinstance(await session.receive(), AudioEnd):
        pass
    await session.send(final(3, segment=2, text="the last words"))
    await session.send(ended(4))


async def never_end(session: StubSession) -> None:
    await session.open()
    await session.send(final(2, segment=1, text="the first words"))
    await session.socket.wait_closed()


async def test_a_file_becomes_text_on_stdout(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.flac", seconds=2.0, codec="flac", rate_hz=44_100)
    async with StubService() as service:
        code, out, err = await run(path, "--url", service.url, "--stats")
    assert (code, out) == (0, "This is segment 1.\nThis is segment 2.\n")
    assert "final after end of speech, p95" in err
    assert service.starts[0].audio == AudioFormat()


async def test_all_wishes_reach_the_service(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "call.wav", channels=2)
    async with StubService() as service:
        code, _, _ = await run(
            path, "--url", service.url, "--key", "k-1", "--language", "de", "--translate", "--model", "base",
            "--hotwords", "Harken, NATS", "--hotwords", "Whisper", "--prompt", "before", "--channels", "separate",
        )  # fmt: skip
    start = service.starts[0]
    assert code == 0
    assert service.keys == ["Bearer k-1"]
    assert (start.language, start.task, start.model, start.prompt) == ("de", "translate", "base", "before")
    assert start.hotwords == ("Harken", "NATS", "Whisper")
    assert start.audio == AudioFormat(channels=2, channel_mode="separate")
    assert not start.partials


async def test_a_container_on_stdin_is_recognised(tmp_path: Path) -> None:
    content = write_recording(tmp_path / "a.ogg", codec="libopus", rate_hz=48_000, seconds=1.5).read_bytes()
    async with StubService() as service:
        code, out, _ = await run("-", "--url", service.url, stdin=content)
    assert (code, out) == (0, "This is segment 1.\n")


async def test_bare_samples_on_stdin_are_sent_as_described() -> None:
    async with StubService() as service:
        arguments = ("-", "--raw-format", "f32le", "--rate", "48000", "--raw-channels", "2")
        code, _, _ = await run(*arguments, "--url", service.url, stdin=bytes(40_000))
    assert code == 0
    assert service.starts[0].audio == AudioFormat(encoding="float32", sample_rate=48_000, channels=2)
    assert len(service.audio) == 40_000


async def test_several_files_go_to_a_directory_each_in_its_own_file(tmp_path: Path) -> None:
    paths = [write_recording(tmp_path / name) for name in ("a.wav", "b.wav")]
    async with StubService() as service:
        code, out, _ = await run(*paths, "--url", service.url, "-f", "srt", "--output-dir", tmp_path / "out")
    assert (code, out) == (0, "")
    for name in ("a.srt", "b.srt"):
        assert (tmp_path / "out" / name).read_text() == "1\n00:00:00,000 --> 00:00:01,000\nThis is segment 1.\n\n"


async def test_one_bad_file_among_others_is_named_and_the_others_are_transcribed(tmp_path: Path) -> None:
    good = write_recording(tmp_path / "good.wav")
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"not a recording")
    async with StubService() as service:
        code, out, err = await run(bad, good, "--url", service.url, "-f", "jsonl", "-o", tmp_path / "out.jsonl")
    assert code == 1
    assert out == ""
    assert f"{bad}: not a readable recording" in err
    assert "Traceback" not in err
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(line["file"], line["text"]) for line in lines] == [(str(good), "This is segment 1.")]


async def test_a_service_that_is_not_running_is_one_clear_line(tmp_path: Path) -> None:
    code, out, err = await run(write_recording(tmp_path / "a.wav"), "--url", NOBODY)
    assert (code, out) == (1, "")
    assert "connection refused" in err
    assert "harken up" in err
    assert len(err.splitlines()) == 1


async def test_an_output_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    async with StubService() as service:
        code, _, err = await run(write_recording(tmp_path / "a.wav"), "--url", service.url, "-o", "/dev/full")
    assert code == 1
    assert "the transcript cannot be written: No space left on device" in err
    assert "Traceback" not in err


async def test_a_standard_input_that_breaks_is_one_clear_line_after_what_was_said_before() -> None:
    controller, terminal = pty.openpty()
    tty.setraw(terminal)
    async with StubService(hold_after_one_final) as service:
        arguments = ("-", "--raw-format", "s16le", "--url", service.url)
        async with harken_transcribe(*arguments, stdin=terminal) as process:
            assert process.stdout is not None and process.stderr is not None
            os.write(controller, tone(0.1))
            async with asyncio.timeout(PATIENCE_S):
                assert await process.stdout.readline() == b"the first words\n"
                os.close(controller)  # the terminal is gone: reading from it fails, as it does from a broken disk
                os.close(terminal)
                assert await process.stdout.read() == b"the last words\n"
                assert await process.stderr.read() == b"stdin: cannot be read: Input/output error\n"
                assert await process.wait() == 1


async def test_a_final_is_written_while_the_recording_still_runs_and_ctrl_c_loses_nothing() -> None:
    async with StubService(hold_after_one_final) as service:
        arguments = ("-", "--raw-format", "s16le", "--url", service.url, "-f", "json")
        async with harken_transcribe(*arguments) as process:
            assert process.stdin is not None and process.stdout is not None and process.stderr is not None
            process.stdin.write(tone(1.0))
            await process.stdin.drain()
            async with asyncio.timeout(PATIENCE_S):
                head = await process.stdout.readuntil(b"the first words")
                process.send_signal(signal.SIGINT)
                tail = await process.stdout.read()
                err = await process.stderr.read()
                assert await process.wait() == 130
    parsed = json.loads(head + tail)
    assert [segment["text"] for segment in parsed["segments"]] == ["the first words", "the last words"]
    assert parsed["complete"] is False
    assert b"Traceback" not in err


async def test_a_second_ctrl_c_stops_now_and_the_document_is_still_valid() -> None:
    async with StubService(never_end) as service:
        arguments = ("-", "--raw-format", "s16le", "--url", service.url, "-f", "json")
        async with harken_transcribe(*arguments) as process:
            assert process.stdin is not None and process.stdout is not None and process.stderr is not None
            process.stdin.write(tone(1.0))
            await process.stdin.drain()
            async with asyncio.timeout(PATIENCE_S):
                head = await process.stdout.readuntil(b"the first words")
                process.send_signal(signal.SIGINT)
                await process.stderr.readuntil(b"stops now")
                process.send_signal(signal.SIGINT)
                tail = await process.stdout.read()
                err = await process.stderr.read()
                assert await process.wait() == 130
    assert json.loads(head + tail)["complete"] is False
    assert b"Traceback" not in err


async def test_a_reader_that_has_enough_ends_the_command_without_a_word(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.wav", seconds=2.0)
    async with StubService() as service:
        readable, writable = os.pipe()
        os.close(readable)
        async with harken_transcribe(path, "--url", service.url, stdout=writable) as process:
            os.close(writable)
            _, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 1
    assert err == b""


async def test_on_a_terminal_partials_grow_and_finals_scroll_by_with_their_times(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.wav", seconds=2.0)
    controller, terminal = pty.openpty()
    async with StubService() as service:
        async with harken_transcribe(path, "--url", service.url, stdout=terminal, stderr=terminal) as process:
            os.close(terminal)
            shown = await asyncio.wait_for(asyncio.to_thread(read_terminal, controller), PATIENCE_S)
            assert await process.wait() == 0
    assert service.starts[0].partials
    assert shown.count("This is segment 1.") == 1
    assert "[00:01.0]" in shown


async def test_no_live_leaves_a_terminal_with_the_text_alone(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.wav", seconds=1.0)
    controller, terminal = pty.openpty()
    async with StubService() as service:
        async with harken_transcribe(
            path, "--no-live", "--url", service.url, stdout=terminal, stderr=terminal
        ) as process:
            os.close(terminal)
            shown = await asyncio.wait_for(asyncio.to_thread(read_terminal, controller), PATIENCE_S)
            await process.wait()
    assert shown == "This is segment 1.\r\n"


def read_terminal(controller: int) -> str:
    """Read until the last process has left the terminal, which Linux reports as an error."""
    shown = b""
    try:
        while data := os.read(controller, 65_536):
            shown += data
    except OSError:
        pass
    finally:
        os.close(controller)
    return shown.decode()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "give audio files"),
        (("--mic", "FILE"), "give audio files"),
        (("FILE", "--device", "1"), "--device goes with --mic"),
        (("--mic", "--channels", "separate"), "does not apply"),
        (("-", "-"), "only once"),
        (("FILE", "--raw-format", "s16le"), "describes standard input"),
        (("-", "--raw-format", "s16le", "--channels", "separate"), "--raw-channels 2"),
        (("FILE", "-o", "x.txt", "--output-dir", "y"), "exclude one another"),
        (("FILE", "FILE", "-f", "srt"), "need --output-dir"),
        (("no-such-file.wav",), "does not exist"),
        (("FILE", "-f", "docx"), "is not one of"),
        (("-", "--raw-format", "s16le", "--rate", "4000"), "8000<=x<=48000"),
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], complaint: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"")
    result = CliRunner().invoke(transcribe, [str(path) if argument == "FILE" else argument for argument in arguments])
    assert result.exit_code == 2
    assert complaint in " ".join(result.output.split())


def test_hotwords_may_be_repeated_or_listed() -> None:
    assert split_hotwords(("Harken, NATS ,", "Whisper")) == ("Harken", "NATS", "Whisper")
