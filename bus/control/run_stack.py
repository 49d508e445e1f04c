"""Start the processes of `harken up` in order, say when they serve, and stop them in order."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from bus.control.chat_ready import until_chat_is_ready
from bus.control.console import Console, Show
from bus.control.control_socket import control_socket, socket_path
from bus.control.hang_up import Terminal
from bus.control.probes import http_get, nats_is_serving, reachable_host
from bus.control.process_types import NATS_HOST
from bus.control.rolling import RollingRestart
from bus.control.stack import StackOptions, nats_spec, service_specs
from bus.control.supervisor import Supervisor
from bus.transport.server_url import parse_server_url

EXIT_OK = 0
EXIT_FAILED = 1
_SAYS = "harken"
_NATS_TIMEOUT_S = 30.0
_READY_TIMEOUT_S = 180.0
_CHAT_TIMEOUT_S = 20.0
"""The embedded model is there before the recogniser is. A larger one is not waited for: speech can begin without it."""
_POLL_INTERVAL_S = 0.1


class NotReady(Exception):
    """The stack runs but does not serve in time; the text says what is missing."""


@dataclass(slots=True)
class StopRequests:
    """SIGINT and SIGTERM: the first asks for a drain, the second forces."""

    supervisor: Supervisor
    console: Console
    requested: asyncio.Event = field(default_factory=asyncio.Event)

    def on_signal(self) -> None:
        """The signal handler."""
        # First the deed, then the word: the word may find nobody who reads it.
        if self.requested.is_set():
            self.supervisor.kill_all()
            self.console.show(_SAYS, "forced: ending everything now")
        else:
            self.requested.set()
            self.console.show(_SAYS, "stopping in order (once more to force)")


def run_stack(options: StackOptions, console: Console, *, announce: Callable[[], None]) -> int:
    """Run until a signal and return the exit status. Calls `announce` once, when the service answers."""
    return asyncio.run(_run(options, console, announce))


async def _run(options: StackOptions, console: Console, announce: Callable[[], None]) -> int:
    supervisor = Supervisor(console.show)
    stop = StopRequests(supervisor, console)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.on_signal)
    restart = RollingRestart(supervisor, console.show)
    terminal = Terminal()

    def on_hang_up() -> None:
        if not terminal.is_gone:
            restart.begin()
        elif terminal.matters:
            stop.on_signal()

    loop.add_signal_handler(signal.SIGHUP, on_hang_up)
    async with supervisor:
        async with _restartable(options, restart, console.show):
            failure = await _serve(options, supervisor, stop.requested, console.show, announce, restart)
        if failure is not None:
            console.show(_SAYS, "giving up; stopping the rest")
    for line in str(failure).splitlines() if failure is not None else ():
        console.show(_SAYS, line)
    return EXIT_OK if failure is None else EXIT_FAILED


@asynccontextmanager
async def _restartable(options: StackOptions, restart: RollingRestart, show: Show) -> AsyncIterator[None]:
    """Let `harken restart` reach us while the block runs, and end a restart that runs when it ends."""
    async with AsyncExitStack() as closing:
        try:
            await closing.enter_async_context(control_socket(socket_path(options.data_dir), restart))
        except OSError as error:  # a path that is too long, a second stack with the same data: no reason not to serve
            show(_SAYS, f"harken restart will not reach this one, only a SIGHUP: {error}")
        closing.push_async_callback(restart.aclose)
        yield


async def _serve(
    options: StackOptions,
    supervisor: Supervisor,
    stop_requested: asyncio.Event,
    show: Show,
    announce: Callable[[], None],
    restart: RollingRestart,
) -> Exception | None:
    """Bring the stack up and keep it until a stop is asked for (None) or it cannot run (why)."""
    starting = asyncio.create_task(_bring_up(options, supervisor, os.environ, show), name="start")
    stopping = asyncio.create_task(stop_requested.wait(), name="await stop")
    failing = asyncio.create_task(supervisor.failed(), name="await failure")
    tasks: tuple[asyncio.Task[None] | asyncio.Task[bool] | asyncio.Task[Exception], ...] = (starting, stopping, failing)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and not stopping.done():
            if (error := starting.exception()) is not None:
                if not isinstance(error, NotReady):
                    raise error
                return error
            supervisor.mark_ready()
            restart.allow()
            announce()
            await asyncio.wait((stopping, failing), return_when=asyncio.FIRST_COMPLETED)
        return failing.result() if failing.done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _bring_up(options: StackOptions, supervisor: Supervisor, environ: Mapping[str, str], show: Show) -> None:
    """Start NATS, wait for it, start the rest, wait until the service says that it is ready. Raises NotReady.

    Without a worker for speech there is no service; one for chat is waited for a little while.
    """
    nats = nats_spec(options, sys.executable, environ)
    if nats is not None and options.nats_port is not None:
        port = options.nats_port
        supervisor.start(nats)
        if not await _until(lambda: nats_is_serving(NATS_HOST, port), _NATS_TIMEOUT_S):
            raise NotReady(f"nats-server did not come up within {_NATS_TIMEOUT_S:g} s; its lines above say why")
    for spec in service_specs(options, sys.executable, environ, cores=len(os.sched_getaffinity(0))):
        supervisor.start(spec)
    last_words = "no answer"

    async def is_ready() -> bool:
        nonlocal last_words
        answer = await http_get(reachable_host(options.host), options.port, "/readyz", tls=options.tls)
        last_words = f"{answer.status} {answer.body}"
        return answer.status == 200

    if not await _until(is_ready, _READY_TIMEOUT_S):
        raise NotReady(
            f"The service did not become ready within {_READY_TIMEOUT_S:g} s (/readyz: {last_words}; NATS at"
            f" {parse_server_url(options.nats_url)}). The lines of its processes above say what they wait for"
        )
    if options.llm_workers:
        model = await until_chat_is_ready(options.nats_url, timeout_s=_CHAT_TIMEOUT_S)
        show(_SAYS, f"chat is ready: {model}" if model else "chat is not ready yet; an llm process will say when it is")


async def _until(is_true: Callable[[], Awaitable[bool]], timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            while not await is_true():  # noqa: ASYNC110 - the state of another process, which cannot wake us
                await asyncio.sleep(_POLL_INTERVAL_S)
    except TimeoutError:
        return False
    return True
