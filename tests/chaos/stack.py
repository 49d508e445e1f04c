"""The whole service as processes of its own, which the runner can hurt: broker, gateways, workers, and the network."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from bus.contract import subjects
from bus.contract.errors import BusUnavailable
from bus.control.probes import free_port, http_get
from bus.transport.connection import BusConnection
from tests.chaos.broker import Broker
from tests.chaos.door import Door
from tests.chaos.process import Process
from tests.chaos.sabotage.orders import VARIABLE, Order

HOST = "127.0.0.1"
Engines: TypeAlias = Literal["scripted", "real"]
_WHOLE_WITHIN_S = 60.0
_POLL_S = 0.05
_STREAMS = (
    subjects.STREAM_ASR_FINAL,
    subjects.STREAM_ASR_PARTIAL,
    subjects.STREAM_LLM_REQUEST,
    subjects.STREAM_TRANSCRIPTS,
    subjects.STREAM_SESSIONS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """What runs."""

    engines: Engines = "scripted"
    nodes: int = 1
    """Of the broker: 1 or 3."""
    gateways: int = 2
    one_port: bool = False
    """All gateways listen on one port, as those of `harken up` do; otherwise each on its own."""
    asr_workers: int = 2
    llm_workers: int = 2
    settings: Mapping[str, str] | None = None
    """More environment for all processes."""


class Worker:
    """An ASR worker, and how it is told to go wrong."""

    def __init__(self, process: Process, orders: Path) -> None:
        self.process = process
        self._orders = orders

    def order(self, order: Order) -> bool:
        """Give the life that runs an order; False if none runs."""
        self._orders.write_text(order, encoding="utf-8")
        return self.process.signal(signal.SIGUSR1)


_EVERYBODY_COMES_IN = {
    "HARKEN_GATEWAY_SESSIONS_PER_SLOT": "0",
    "HARKEN_GATEWAY_MAX_LAG_S": "600",
    "HARKEN_GATEWAY_MAX_PROCESS_LAG_S": "60",
    "HARKEN_GATEWAY_MAX_SCORING_SHARE": "60",
}
"""What is hurt has fewer slots for a while: whoever comes then is to find out what happens, and not to be refused."""


class Stack:
    """Made by `running`."""

    def __init__(self, options: StackOptions, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.options = options
        self.folder = folder
        self.broker = Broker(options.nodes, folder)
        ports = [free_port(HOST) for _ in range(1 if options.one_port else options.gateways)]
        self.doors = [Door(port) for port in ports]
        """Before each gateway, or before all of them."""
        self.gateways = [
            self._process(
                f"gateway{n}",
                "stream_gateway",
                "gateway listens",
                {"HARKEN_GATEWAY_PORT": str(ports[n % len(ports)]), **_EVERYBODY_COMES_IN},
            )
            for n in range(options.gateways)
        ]
        self.asr = [self._asr(n) for n in range(options.asr_workers)]
        self.llm = [
            self._process(f"llm{n}", "llm_workers", "worker ready", _llm_settings(options))
            for n in range(options.llm_workers)
        ]
        self._ports = ports
        self._bus: BusConnection | None = None

    @property
    def bus(self) -> BusConnection:
        """The runner's own connection."""
        assert self._bus is not None
        return self._bus

    @property
    def urls(self) -> list[str]:
        """Where clients reach the service."""
        return [f"ws://{HOST}:{door.port}" for door in self.doors]

    @property
    def processes(self) -> Sequence[Process]:
        """All, the broker's last."""
        workers = [worker.process for worker in self.asr]
        return (*self.gateways, *workers, *self.llm, *(node.process for node in self.broker.nodes))

    async def start(self) -> None:
        """Start everything; returns once it serves."""
        await self.broker.start()
        self._bus = await BusConnection.connect(
            self.broker.url, name="chaos", inbox_prefix="_INBOX_chaos", connect_timeout_s=30.0
        )
        for process in self.processes:
            if process.lives == 0:
                await process.start()
        await self.until_whole()

    async def until_whole(self) -> None:
        """Return once every process runs and serves, and every gateway takes sessions. Raises NotServing, TimeoutError.

        Doors are opened and carry again.
        """
        for door in self.doors:
            await door.open()
            door.carry_on()
        for process in self.processes:
            await process.until_serving()
        async with asyncio.timeout(_WHOLE_WITHIN_S):
            for port in self._ports:
                while (await http_get(HOST, port, "/readyz")).status != 200:  # noqa: ASYNC110 - it cannot wake us
                    await asyncio.sleep(_POLL_S)
            await self.bus.wait_connected()
            while not await self._streams_are_whole():  # noqa: ASYNC110 - it cannot wake us
                await asyncio.sleep(_POLL_S)

    async def _streams_are_whole(self) -> bool:
        """Whether each stream has a leader, and all of its copies are as new."""
        try:
            for stream in _STREAMS:
                cluster = (await self.bus.request_api(f"STREAM.INFO.{stream}")).get("cluster") or {}
                if not cluster.get("leader") or not all(copy.get("current") for copy in cluster.get("replicas") or ()):
                    return False
        except BusUnavailable:  # also that there is no such stream yet
            return False
        return True

    async def close(self) -> None:
        """End everything."""
        for door in self.doors:
            door.close()
        if self._bus is not None:
            await self._bus.aclose()
        for process in self.processes:
            await process.close()

    def _asr(self, number: int) -> Worker:
        orders = self.folder / f"asr{number}.orders"
        settings = {**_asr_settings(self.options), VARIABLE: str(orders)}
        process = self._process(f"asr{number}", "tests.chaos.sabotage.asr_worker", "worker ready", settings)
        return Worker(process, orders)

    def _process(self, name: str, module: str, ready: str, settings: Mapping[str, str]) -> Process:
        environment = {
            **{key: value for key, value in os.environ.items() if key == "HARKEN_CACHE_DIR" or "HARKEN_" not in key},
            "NATS_URL": self.broker.url,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONUNBUFFERED": "1",
            **({"HARKEN_BUS_REPLICAS": str(self.options.nodes)} if self.options.nodes > 1 else {}),
            **settings,
            **(self.options.settings or {}),
        }
        return Process(name, (sys.executable, "-m", module), environment, self.folder, ready=ready)


def _asr_settings(options: StackOptions) -> Mapping[str, str]:
    if options.engines == "real":
        return {"HARKEN_ASR_THREADS": "1"}
    # Batches, as on a GPU: a worker that dies takes several windows with it.
    return {"HARKEN_ASR_ENGINE": "scripted", "HARKEN_ASR_THREADS": "1", "HARKEN_ASR_BATCH_SIZE": "4"}


def _llm_settings(options: StackOptions) -> Mapping[str, str]:
    if options.engines == "real":
        return {"HARKEN_LLM_THREADS": "1"}
    paced = "tokens_per_s=25,first_token_s=0.05"
    return {"HARKEN_LLM_ENGINE": "scripted", "HARKEN_LLM_MODEL": "scripted", "HARKEN_LLM_ENGINE_SETTINGS": paced}


@asynccontextmanager
async def running(options: StackOptions, folder: Path) -> AsyncIterator[Stack]:
    """A stack that serves; whatever happens, nothing of it is left afterwards."""
    stack = Stack(options, folder)
    try:
        await stack.start()
        yield stack
    finally:
        await stack.close()
