"""The supervisor with real processes: each is a few lines of Python that print and then wait."""

import asyncio
import os
import signal
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bus.control.child import CrashLoop, NeverReady
from bus.control.child_spec import ChildSpec
from bus.control.control_socket import NotRunning, ask_restart, control_socket, socket_path
from bus.control.restart_policy import RestartOptions
from bus.control.rolling import RollingRestart
from bus.control.supervisor import Supervisor

FAST = RestartOptions(first_delay_s=0.01, max_delay_s=0.02)
WAIT = "import signal; print('up', flush=True); signal.pause()"
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('up', flush=True)
while True:
    signal.pause()
"""
POLITE = """
import signal, sys
def leave(*_):
    print("bye", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("up", flush=True)
signal.pause()
"""
READY = """
import os, socket
notifying = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def ready():
    notifying.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
""" + POLITE.replace("signal.pause()", "ready()\nsignal.pause()")


class Screen:
    """Collects lines; a test waits for the one it needs."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def show(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        task = asyncio.get_running_loop().create_task(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(true)

    async def until_seen(self, name: str, line: str, times: int = 1) -> None:
        await self.until(lambda: self.lines.count((name, line)) >= times)


def child(name: str, code: str, *, stage: int = 0, budget_s: float = 10.0) -> ChildSpec:
    return ChildSpec(name, (sys.executable, "-c", code), dict(os.environ), stage, budget_s)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie whose parent is not us is as good as gone.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


async def until_gone(pid: int) -> None:
    """A process that is not our child tells us of its end through a pidfd."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, gone.set)
    try:
        await asyncio.wait_for(gone.wait(), 10)
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def test_output_of_both_streams_is_shown_under_the_childs_name() -> None:
    screen = Screen()
    code = "import sys; print('to stdout', flush=True); print('to stderr', file=sys.stderr, flush=True);" + WAIT
    async with Supervisor(screen.show) as supervisor:
        supervisor.start(child("one", code))
        await screen.until_seen("one", "up")
    assert screen.lines[:2] == [("one", "to stdout"), ("one", "to stderr")]


async def test_leaving_stops_children_stage_by_stage() -> None:
    screen = Screen()
    async with Supervisor(screen.show) as supervisor:
        for stage, name in enumerate(("gateway", "asr", "nats")):
            supervisor.start(child(name, POLITE, stage=stage))
        for name in ("gateway", "asr", "nats"):
            await screen.until_seen(name, "up")
    assert screen.lines[3:] == [("gateway", "bye"), ("asr", "bye"), ("nats", "bye")]


async def test_a_crashed_child_starts_again(tmp_path: Path) -> None:
    screen = Screen()
    code = (
        f"import os, pathlib; p = pathlib.Path({str(tmp_path / 'ran')!r})\nif not p.exists(): p.touch(); os._exit(7)\n"
        + WAIT
    )
    async with Supervisor(screen.show, options=FAST) as supervisor:
        supervisor.start(child("one", code))
        await screen.until_seen("one", "up")
    assert screen.lines[0] == ("one", "exited with status 7; starting again in 0.01 s")


async def test_a_killed_child_starts_again_with_a_new_pid() -> None:
    screen = Screen()
    async with Supervisor(screen.show, options=FAST) as supervisor:
        one = supervisor.start(child("one", WAIT))
        await screen.until_seen("one", "up")
        first = one.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await screen.until_seen("one", "up", times=2)
        assert one.pid != first
    assert ("one", "was ended by SIGKILL; starting again in 0.01 s") in screen.lines


async def test_crashing_again_and_again_at_start_is_a_failure_with_the_last_lines() -> None:
    screen = Screen()
    async with Supervisor(screen.show, options=FAST, crashes_at_start=3) as supervisor:
        supervisor.start(child("one", "print('no such model'); raise SystemExit(2)"))
        error = await asyncio.wait_for(supervisor.failed(), 10)
    assert isinstance(error, CrashLoop)
    assert str(error).startswith("one exited with status 2, 3 times in a row. Its last lines:\n  no such model")


async def test_a_command_that_does_not_exist_is_a_failure() -> None:
    async with Supervisor(Screen().show, options=FAST) as supervisor:
        supervisor.start(ChildSpec("one", ("/no/such/program",)))
        error = await asyncio.wait_for(supervisor.failed(), 10)
    assert "could not be started: No such file or directory" in str(error)


async def test_once_ready_crashes_are_never_fatal() -> None:
    screen = Screen()
    async with Supervisor(screen.show, options=FAST, crashes_at_start=2) as supervisor:
        supervisor.mark_ready()
        supervisor.start(child("one", "print('started')"))
        failed = asyncio.create_task(supervisor.failed())
        await screen.until_seen("one", "started", times=5)
        assert not failed.done()
        failed.cancel()


async def test_a_child_that_ignores_sigterm_is_killed_after_its_budget() -> None:
    screen = Screen()
    async with Supervisor(screen.show) as supervisor:
        one = supervisor.start(child("one", DEAF, budget_s=0.05))
        await screen.until_seen("one", "up")
        pid = one.pid
        assert pid is not None
    assert screen.lines[-1] == ("one", "did not stop in time and was killed")
    assert not is_alive(pid)


async def test_kill_all_ends_a_drain_that_waits() -> None:
    screen = Screen()
    async with Supervisor(screen.show) as supervisor:
        supervisor.start(child("one", DEAF, stage=0, budget_s=60))
        supervisor.start(child("two", DEAF, stage=1, budget_s=60))
        await screen.until_seen("one", "up")
        await screen.until_seen("two", "up")
        draining = asyncio.create_task(supervisor.drain())
        supervisor.kill_all()
        await asyncio.wait_for(draining, 10)


async def test_what_a_child_has_started_goes_with_it() -> None:
    screen = Screen()
    code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {DEAF!r}]).pid, flush=True);" + WAIT
    async with Supervisor(screen.show) as supervisor:
        supervisor.start(child("one", code))
        await screen.until_seen("one", "up", times=2)
        grandchild = next(int(line) for _, line in screen.lines if line.isdigit())
    await until_gone(grandchild)


async def test_a_process_is_replaced_only_once_another_serves() -> None:
    screen = Screen()
    async with Supervisor(screen.show) as supervisor:
        old = supervisor.start(child("one", READY))
        await screen.until_seen("one", "up")
        first = old.pid
        assert first is not None
        await supervisor.replace("one", ready_within_s=10)
        assert not is_alive(first)
        assert supervisor.restart_order() == ["one"]
    assert [line for _, line in screen.lines] == ["up", "up", "bye", "bye"]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("print('no such model'); raise SystemExit(2)", "the new one ended. Its last lines:\n  no such model"),
        (WAIT, "the new one was not ready within 0.2 s. Its last lines:"),
    ],
)
async def test_a_process_that_cannot_be_replaced_goes_on(tmp_path: Path, code: str, why: str) -> None:
    screen = Screen()
    program = tmp_path / "one.py"
    program.write_text(READY)
    async with Supervisor(screen.show, options=FAST) as supervisor:
        supervisor.mark_ready()
        old = supervisor.start(ChildSpec("one", (sys.executable, str(program)), dict(os.environ)))
        await screen.until_seen("one", "up")
        first = old.pid
        program.write_text(code)
        with pytest.raises(NeverReady) as caught:
            await supervisor.replace("one", ready_within_s=0.2 if code is WAIT else 10)
        assert str(caught.value).startswith(why)
        assert old.pid == first and first is not None and is_alive(first)
    assert not is_alive(first)
    assert screen.lines[-1] == ("one", "bye")


async def test_a_drain_in_the_middle_of_a_replacement_leaves_nothing_behind() -> None:
    screen = Screen()
    async with Supervisor(screen.show) as supervisor:
        supervisor.start(child("one", WAIT))
        await screen.until_seen("one", "up")
        replacing = asyncio.create_task(supervisor.replace("one", ready_within_s=60))
        await screen.until_seen("one", "up", times=2)
        replacing.cancel()
        await asyncio.gather(replacing, return_exceptions=True)
        pids = [one.pid for one in (*supervisor._children.values(), *supervisor._leaving)]
    assert len(pids) == 2
    assert not any(is_alive(pid) for pid in pids if pid is not None)


async def test_a_rolling_restart_replaces_all_in_order_and_tells_everybody_who_asked() -> None:
    screen = Screen()
    async with Supervisor(screen.show) as supervisor:
        restart = RollingRestart(supervisor, screen.show)
        assert await restart.run(lambda _: None) == "the service is not ready yet"
        for name, stage in (("asr", 0), ("gateway", 1), ("nats", None)):
            supervisor.start(replace(child(name, READY), restart_stage=stage))
            await screen.until_seen(name, "up")
        supervisor.mark_ready()
        restart.allow()
        told: tuple[list[str], list[str]] = ([], [])
        assert await asyncio.gather(*(restart.run(lines.append) for lines in told)) == [None, None]
    assert told[0] == told[1] == ["restarting asr (1 of 2)", "restarting gateway (2 of 2)", "restarted"]
    assert screen.lines.count(("nats", "up")) == 1
    assert screen.lines.count(("asr", "up")) == screen.lines.count(("gateway", "up")) == 2


async def test_a_restart_is_asked_for_over_the_socket_and_a_second_stack_is_told_that_it_is_taken(
    tmp_path: Path,
) -> None:
    screen = Screen()
    path = socket_path(tmp_path / "data")
    with pytest.raises(NotRunning):
        await ask_restart(path, print)
    async with Supervisor(screen.show) as supervisor:
        restart = RollingRestart(supervisor, screen.show)
        async with control_socket(path, restart):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            with pytest.raises(OSError, match="another harken up"):
                async with control_socket(path, restart):
                    pass
            assert await ask_restart(path, print) == "the service is not ready yet"
            supervisor.start(child("one", READY))
            await screen.until_seen("one", "up")
            restart.allow()
            said: list[str] = []
            assert await ask_restart(path, said.append) is None
    assert said == ["restarting one (1 of 1)", "restarted"]
    assert not path.exists()


async def test_who_asks_for_anything_else_over_the_socket_hears_so_or_is_hung_up_on(tmp_path: Path) -> None:
    path = socket_path(tmp_path)
    async with Supervisor(Screen().show) as supervisor:
        async with control_socket(path, RollingRestart(supervisor, Screen().show)):
            for said, answer in (
                (b'{"ask": "dance"}\n', b'{"failed": "it does not know what was asked for"}\n'),
                (b"x" * 100_000, b""),
                (b"not json\n", b""),
            ):
                reader, writer = await asyncio.open_unix_connection(path)
                writer.write(said)
                async with asyncio.timeout(10):
                    assert await reader.read() == answer
                writer.close()


async def test_nothing_starts_once_draining() -> None:
    async with Supervisor(Screen().show) as supervisor:
        await supervisor.drain()
        with pytest.raises(RuntimeError, match="draining"):
            supervisor.start(child("late", WAIT))


_PARENT = """
import asyncio, os, sys
from bus.control.child_spec import ChildSpec
from bus.control.supervisor import Supervisor
async def main():
    async with Supervisor(lambda name, line: print(line, flush=True)) as supervisor:
        code = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
        supervisor.start(ChildSpec("one", (sys.executable, "-c", code), dict(os.environ)))
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_kill_9_of_the_supervisor_leaves_no_child_behind() -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", _PARENT, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 10))
    assert is_alive(pid)
    parent.kill()
    await parent.wait()
    await until_gone(pid)
    assert not is_alive(pid)
