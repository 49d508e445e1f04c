"""`harken up` as a real command, over stand-ins for its processes: small programs under the same names."""

import asyncio
import fcntl
import json
import os
import shutil
import signal
import socket
import sys
import textwrap
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bus.control.probes import free_port, nats_is_serving
from bus.runtime.model_store.catalogue import SILERO_VAD
from tests.integration.test_supervisor import is_alive, until_gone

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 20

_COMMON = """
import os, signal, sys, threading
name = os.path.basename(os.path.dirname(__file__))
def say(what):
    print(what, "pid", os.getpid(), flush=True)
def leave(*_):
    say("leaving")
    os._exit(0)
signal.signal(signal.SIGTERM, leave)
def ready():
    import socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
        notifying.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
"""
_NATS = (
    _COMMON
    + """
import socket
server = socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])))
say("nats listens")
while True:
    client, _ = server.accept()
    client.sendall(b'INFO {"jetstream":true} \\r\\n')
    client.close()
"""
)
_GATEWAY = (
    _COMMON
    + """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
    def log_message(self, *_):
        pass
HTTPServer.allow_reuse_port = True
server = HTTPServer((os.environ["HARKEN_GATEWAY_HOST"], int(os.environ["HARKEN_GATEWAY_PORT"])), Handler)
if "HARKEN_GATEWAY_TLS_CERT" in os.environ:
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.environ["HARKEN_GATEWAY_TLS_CERT"], os.environ["HARKEN_GATEWAY_TLS_KEY"])
    server.socket = context.wrap_socket(server.socket, server_side=True)
say("gateway listens")
ready()
server.serve_forever()
"""
)
_WORKER = (
    _COMMON
    + """
say("worker has " + os.environ["HARKEN_ASR_MODEL"] + " and NATS at " + os.environ["NATS_URL"])
ready()
while True:
    signal.pause()
"""
)
_LLM_WORKER = (
    _COMMON
    + """
import asyncio
from bus.contract import subjects
from bus.contract.presence import WorkerPresence, encode_presence
from bus.transport.connection import BusConnection
async def main():
    bus = await BusConnection.connect(os.environ["NATS_URL"], name="llm", inbox_prefix="_INBOX_llm")
    me = WorkerPresence(worker="w1", pool="std", model=os.environ["HARKEN_LLM_MODEL"], slots=1, state="ready")
    say("chat worker")
    while True:
        await bus.publish(subjects.presence_llm(me.pool, me.worker), encode_presence(me))
        await asyncio.sleep(0.05)
asyncio.run(main())
"""
)
_DEAF_WORKER = (
    "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\nwhile 1: signal.pause()"
)


class Up:
    """A running `harken up`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.errors: list[str] = []

    async def ready_line(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), TIMEOUT_S)).decode()

    async def until_said(self, text: str) -> str:
        assert self.process.stderr is not None
        async with asyncio.timeout(TIMEOUT_S):
            while line := (await self.process.stderr.readline()).decode():
                self.errors.append(line)
                if text in line:
                    return line
        raise AssertionError(f"{text!r} was never said: {self.errors}")

    async def end(self) -> int:
        """Wait for the end; what was said until then is in `errors`."""
        assert self.process.stderr is not None
        async with asyncio.timeout(TIMEOUT_S):
            self.errors += (await self.process.stderr.read()).decode().splitlines(keepends=True)
            return await self.process.wait()

    def pids(self) -> list[int]:
        return [int(line.split()[-1]) for line in self.errors if " pid " in line]


class Bench:
    """A folder with the stand-ins and a cache that holds the models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port("127.0.0.1")
        self.stand_in("bus/nats_server.py", _NATS)
        self.stand_in("stream_gateway/__main__.py", _GATEWAY)
        self.stand_in("asr_workers/__main__.py", _WORKER)
        self.stand_in("llm_workers/__main__.py", _LLM_WORKER)
        for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
            self.stand_in(f"model/{name}", "")
        vad = folder / "cache" / "models" / SILERO_VAD.name
        vad.mkdir(parents=True)
        for file in SILERO_VAD.files:
            with (vad / file.name).open("wb") as sparse:
                sparse.truncate(file.size_bytes)
        pins = {f.name: (f.size_bytes, f.sha256) for f in SILERO_VAD.files}
        (vad / ".complete.json").write_text(json.dumps({"model": SILERO_VAD.name, "source": "test", "files": pins}))
        # The command is a script elsewhere; python -m looks in the working folder first, so children find stand-ins.
        (folder / "bin").mkdir()
        (folder / "bin" / "up.py").write_text("from bus.control.up import up\nup()\n")
        (folder / "bin" / "restart.py").write_text("from bus.control.restart import restart\nrestart()\n")

    def stand_in(self, path: str, code: str) -> None:
        target = self.folder / "stand_ins" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(code))
        # Without it the folder would be a namespace package, and the real package further down the path would win.
        (target.parent / "__init__.py").touch()

    @asynccontextmanager
    async def up(self, *arguments: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[Up]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("HARKEN_", "NATS_"))}
        environment |= {"PYTHONPATH": str(ROOT), "HARKEN_CACHE_DIR": str(self.folder / "cache")}
        # The stand-in for nats-server carries no heartbeats: nobody would be heard of chat, and much waited for.
        environment |= {"HARKEN_UP_LLM_WORKERS": "0", **(environ or {})}
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(self.folder / "bin" / "up.py"),
            "--port", str(self.port), "--data-dir", str(self.folder / "data"), "--model", "model",
            "--llm-model", "model", *arguments,
            cwd=self.folder / "stand_ins", env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            yield Up(process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def restart(self) -> tuple[int | None, str]:
        """Run `harken restart`; its status, and what it said."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(self.folder / "bin" / "restart.py"), "--data-dir", str(self.folder / "data")),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(TIMEOUT_S):
            said, _ = await process.communicate()
        return process.returncode, said.decode()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_it_says_once_where_it_listens_and_stops_in_order_on_ctrl_c(bench: Bench) -> None:
    async with bench.up("--asr-workers", "2") as up:
        url = f"127.0.0.1:{bench.port}"
        nats_url = (await up.until_said("worker has")).partition(" NATS at ")[2].split()[0]
        assert await up.ready_line() == f"harken is ready: ws://{url}/v1/stream  http://{url}/  {nats_url}\n"
        up.process.send_signal(signal.SIGINT)
        assert await up.end() == 0
        assert await up.ready_line() == ""
    left = [line.split()[0] for line in up.errors if "leaving" in line]
    assert left[0] == "gateway"
    assert sorted(left[1:3]) == ["asr.1", "asr.2"]
    assert left[3:] == ["nats"]
    assert not any(is_alive(pid) for pid in up.pids())


async def test_the_nats_server_listens_before_anything_else_starts(bench: Bench) -> None:
    async with bench.up() as up:
        await up.ready_line()
        up.process.send_signal(signal.SIGTERM)
        assert await up.end() == 0
    starts = [line.split()[0] for line in up.errors if "listens" in line or "worker has" in line]
    assert starts[0] == "nats"


async def test_with_nats_url_set_no_server_is_started(bench: Bench) -> None:
    async with bench.up(environ={"NATS_URL": "nats://elsewhere:4222"}) as up:
        assert (await up.ready_line()).endswith("  nats://elsewhere:4222\n")
        line = await up.until_said("worker has")
        up.process.send_signal(signal.SIGINT)
        assert await up.end() == 0
    assert "worker has model and NATS at nats://elsewhere:4222" in line
    assert not any("nats listens" in line for line in up.errors)


async def test_the_ready_line_names_all_servers_of_nats_url_without_the_password(bench: Bench) -> None:
    async with bench.up(environ={"NATS_URL": "nats://app:secret@one:4222, nats://two:4222"}) as up:
        assert (await up.ready_line()).endswith("  nats://one:4222,nats://two:4222\n")
        up.process.send_signal(signal.SIGINT)
        assert await up.end() == 0


async def test_nats_listens_on_the_port_that_was_asked_for(bench: Bench) -> None:
    port = free_port("127.0.0.1")
    async with bench.up(environ={"HARKEN_UP_NATS_PORT": str(port)}) as up:
        assert (await up.ready_line()).endswith(f"  nats://127.0.0.1:{port}\n")
        assert await nats_is_serving("127.0.0.1", port)
        up.process.send_signal(signal.SIGINT)
        assert await up.end() == 0


async def test_a_port_in_use_is_refused_for_nats_too(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        async with bench.up("--nats-port", str(port)) as up:
            assert await up.end() == 1
    said = "".join(up.errors)
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use" in said
    assert "--nats-port" in said
    assert "listens" not in said


async def test_a_port_for_nats_beside_nats_url_is_refused(bench: Bench) -> None:
    async with bench.up("--nats-port", "4333", environ={"NATS_URL": "nats://elsewhere:4222"}) as up:
        assert await up.end() == 2
    assert "give one of the two" in "".join(up.errors)


@pytest.mark.parametrize("url", ["http://elsewhere", "nats://"])
async def test_a_nats_url_that_is_none_is_refused_before_anything_starts(bench: Bench, url: str) -> None:
    async with bench.up(environ={"NATS_URL": url}) as up:
        assert await up.end() == 2
    said = "".join(up.errors)
    assert "a NATS URL must look like nats://host:port" in said
    assert "listens" not in said and "Traceback" not in said


async def test_a_port_in_use_is_refused_before_anything_starts(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", bench.port)):
        async with bench.up() as up:
            assert await up.end() == 1
    said = "".join(up.errors)
    assert f"Cannot listen on 127.0.0.1:{bench.port}: Address already in use" in said
    assert "listens" not in said


async def test_a_process_that_cannot_start_ends_all_with_its_last_lines(bench: Bench) -> None:
    bench.stand_in("stream_gateway/__main__.py", _WORKER)  # up, but never ready
    bench.stand_in("asr_workers/__main__.py", "raise SystemExit('no such compute type')")
    async with bench.up() as up:
        assert await up.end() == 1
        assert await up.ready_line() == ""
    last = "".join(up.errors[-4:])
    assert "asr exited with status 1, 3 times in a row. Its last lines:" in last
    assert last.count("no such compute type") == 3
    assert not any(is_alive(pid) for pid in up.pids())


async def test_a_second_ctrl_c_forces(bench: Bench) -> None:
    bench.stand_in("asr_workers/__main__.py", _DEAF_WORKER)
    async with bench.up() as up:
        await up.ready_line()
        await up.until_said("deaf")
        up.process.send_signal(signal.SIGINT)
        await up.until_said("leaving")
        up.process.send_signal(signal.SIGINT)
        assert await up.end() == 0
    assert any("forced" in line for line in up.errors)
    assert not any(is_alive(pid) for pid in up.pids())


async def test_ctrl_c_while_it_starts_stops_it(bench: Bench) -> None:
    bench.stand_in("stream_gateway/__main__.py", _WORKER)
    async with bench.up() as up:
        await up.until_said("worker has")
        up.process.send_signal(signal.SIGINT)
        assert await up.end() == 0
        assert await up.ready_line() == ""


async def test_kill_9_leaves_no_process_behind(bench: Bench) -> None:
    async with bench.up() as up:
        await up.ready_line()
        await up.until_said("worker has")
        while len(up.pids()) < 3:
            await up.until_said(" pid ")
        up.process.kill()
        await up.process.wait()
        for pid in up.pids():
            await until_gone(pid)


async def test_an_unknown_model_is_refused_before_anything_starts(bench: Bench) -> None:
    async with bench.up("--model", "whisper-huge") as up:
        assert await up.end() == 1
    assert "There is no model named 'whisper-huge'" in "".join(up.errors)
    assert "listens" not in "".join(up.errors)


async def test_a_misspelt_setting_is_refused_before_anything_starts(bench: Bench) -> None:
    async with bench.up(environ={"HARKEN_UP_GATWAYS": "2"}) as up:
        assert await up.end() == 1
    assert "unknown setting HARKEN_UP_GATWAYS: did you mean HARKEN_UP_GATEWAYS?" in "".join(up.errors)


@pytest.mark.nats
async def test_chat_is_waited_for_and_told(bench: Bench) -> None:
    shutil.rmtree(bench.folder / "stand_ins" / "bus")
    async with bench.up("--llm-workers", "2") as up:
        await up.ready_line()
        workers = {(await up.until_said("chat worker")).split()[0] for _ in range(2)}
        up.process.send_signal(signal.SIGINT)
        assert await up.end() == 0
    assert workers == {"llm.1", "llm.2"}
    assert any("chat is ready: model" in line for line in up.errors)


@pytest.mark.nats
async def test_speech_is_ready_although_nobody_answers_in_chats(bench: Bench) -> None:
    shutil.rmtree(bench.folder / "stand_ins" / "bus")
    bench.stand_in("llm_workers/__main__.py", _WORKER)
    impatient = "from bus.control import run_stack\nrun_stack._CHAT_TIMEOUT_S = 0.2\n"
    command = bench.folder / "bin" / "up.py"
    command.write_text(impatient + command.read_text())
    async with bench.up("--llm-workers", "1") as up:
        await up.ready_line()
        assert "chat is not ready yet" in await up.until_said("chat is")
        up.process.send_signal(signal.SIGINT)
        assert await up.end() == 0


@pytest.mark.nats
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
async def test_the_real_nats_server_comes_and_goes_with_it(bench: Bench, ending: signal.Signals) -> None:
    shutil.rmtree(bench.folder / "stand_ins" / "bus")
    async with bench.up() as up:
        url = urlsplit((await up.ready_line()).split()[-1])
        assert url.hostname is not None and url.port is not None
        assert await nats_is_serving(url.hostname, url.port)
        lock = bench.folder / "data" / "nats" / "harken.lock"
        up.process.send_signal(ending)
        assert await up.process.wait() == (0 if ending is signal.SIGINT else -signal.SIGKILL)
        await until_unlocked(lock)
    assert not await nats_is_serving(url.hostname, url.port)


async def until_unlocked(path: Path) -> None:
    """The server holds the lock of its store for as long as it lives."""

    def wait() -> None:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)

    await asyncio.wait_for(asyncio.to_thread(wait), TIMEOUT_S)
