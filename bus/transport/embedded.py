"""A nats-server of our own as a child of this process: for tests, and for code that wants one while it runs.

`harken up` runs `python -m bus.nats_server` instead, which its supervisor starts again when it ends.
"""

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

from bus.transport.server_binary import (
    ServerUnavailable,
    die_with_parent,
    find_server_binary,
    lock_store,
    write_private,
)
from bus.transport.server_config import RANDOM_PORT, ClusterOptions, ServerOptions, render_config

_START_TIMEOUT_S = 15.0
_STOP_TIMEOUT_S = 10.0
_POLL_INTERVAL_S = 0.01
_log = logging.getLogger(__name__)


class EmbeddedNats:
    """A nats-server with its store in `store_dir`, listening on loopback.

    `async with` starts and stops it. After `stop` or `kill`, `start` brings it back on the same port and store, as a
    restarted server would. The child gets SIGTERM if the thread that started it ends, so start it from the main
    thread. A server of a cluster is healthy only among most of the others: start them together. Raises StoreInUse if
    another server holds the store, ServerUnavailable if the server does not come up.
    """

    def __init__(
        self,
        *,
        store_dir: Path,
        port: int = RANDOM_PORT,
        credentials: Mapping[str, str] | None = None,
        max_memory_bytes: int = 2 * 1024**3,
        max_file_bytes: int = 8 * 1024**3,
        name: str = "harken",
        cluster: ClusterOptions | None = None,
    ) -> None:
        self._store_dir = store_dir
        self._options = ServerOptions(
            store_dir=store_dir / "data",
            port=port,
            monitor_port=RANDOM_PORT,
            ports_file_dir=store_dir,
            max_memory_bytes=max_memory_bytes,
            max_file_bytes=max_file_bytes,
            credentials=credentials,
            name=name,
            cluster=cluster,
        )
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """`nats://127.0.0.1:<port>`; known once started, unchanged by restarts."""
        return f"nats://{self._options.host}:{self._options.port}"

    def url_for(self, role: str) -> str:
        """The URL with the name and password of `role`; KeyError if the server has no such credentials."""
        password = (self._options.credentials or {})[role]
        return f"nats://{quote(role, safe='')}:{quote(password, safe='')}@{self._options.host}:{self._options.port}"

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    @property
    def process(self) -> asyncio.subprocess.Process | None:
        """The child, or None when stopped."""
        return self._process

    async def start(self) -> None:
        """Start and wait until the server answers that it is healthy."""
        if self._process is not None:
            raise RuntimeError("the server is running already")
        lock = lock_store(self._store_dir)
        try:
            config = self._store_dir / "nats-server.conf"
            write_private(config, render_config(self._options))
            self._process = await self._spawn(config, lock)
        finally:
            os.close(lock)  # the child holds it now, and only the child
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await self._read_ports()
                await self._wait_healthy()
        except BaseException as error:
            await self.kill()
            if isinstance(error, TimeoutError):
                raise ServerUnavailable(f"nats-server was not healthy within {_START_TIMEOUT_S:g} s") from None
            raise
        _log.info("nats-server started", extra={"pid": self.pid, "url": self.url})

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL if it takes too long. Idempotent."""
        if (process := self._process) is None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            _log.warning("nats-server did not stop in time and is killed", extra={"pid": process.pid})
            await self.kill()
        self._process = None

    async def kill(self) -> None:
        """SIGKILL, as a crash would be. Idempotent."""
        if (process := self._process) is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        self._process = None

    async def _spawn(self, config: Path, lock: int) -> asyncio.subprocess.Process:
        parent = os.getpid()
        for stale in self._store_dir.glob("nats-server_*.ports"):
            stale.unlink(missing_ok=True)  # a killed server leaves it, and process ids come round again
        with (self._store_dir / "nats-server.log").open("wb") as log:
            return await asyncio.create_subprocess_exec(
                find_server_binary(),
                "-c",
                config,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                # Its own group: Ctrl-C in a terminal reaches us, and we stop it last.
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(parent),
            )

    async def _read_ports(self) -> None:
        path = self._store_dir / f"nats-server_{self.pid}.ports"
        while True:
            self._check_alive()
            # The server writes it in one go, but not under another name first: it may be seen half-written.
            with suppress(FileNotFoundError, json.JSONDecodeError, KeyError):
                ports = json.loads(path.read_text(encoding="utf-8"))
                self._options = replace(
                    self._options,
                    port=urlsplit(ports["nats"][0]).port or RANDOM_PORT,
                    monitor_port=urlsplit(ports["monitoring"][0]).port or RANDOM_PORT,
                )
                return
            await asyncio.sleep(_POLL_INTERVAL_S)

    async def _wait_healthy(self) -> None:
        while not await _is_healthy(self._options.host, self._options.monitor_port or 0):
            self._check_alive()
            await asyncio.sleep(_POLL_INTERVAL_S)

    def _check_alive(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            self._process = None
            log = self._store_dir / "nats-server.log"
            raise ServerUnavailable(f"nats-server ended while starting; its output is in {log}")


async def _is_healthy(host: str, port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    try:
        writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        status_line = await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
    return b" 200 " in status_line
