"""The worker's side of its own model server: starts it, watches it, ends it."""

import asyncio
import logging
import os
import secrets
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from llm_workers.engines.base import EngineOptions, EngineUnavailable
from llm_workers.engines.llama_server import ServerConfig, Started

DEFAULT_SLOTS = 4
MAX_CONTEXT_TOKENS = 4096
"""Of one slot where nobody says: its memory is taken at the start, for all slots (378 MB in all for SmolLM2 135M)."""
_PROMPT_CACHE_MIB = 512
_KEPT_LINES = 20
_STOP_TIMEOUT_S = 3.0
_log = logging.getLogger(__name__)


class LlamaProcess:
    """llama.cpp's server as a child process, on a loopback port with a key that only we know."""

    def __init__(self, process: asyncio.subprocess.Process, api_key: str) -> None:
        self._process = process
        self.api_key = api_key
        self.url = ""
        """Its address, without a path."""
        self.ended = asyncio.Event()
        """Set when it is gone though nobody closed it."""
        self._closing = False
        self._last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._tasks = [
            asyncio.create_task(self._read_errors(), name="llama-stderr"),
            asyncio.create_task(self._watch(), name="llama-watch"),
        ]

    @classmethod
    async def start(cls, options: EngineOptions) -> Self:
        """Start it and wait until the model is loaded. Raises EngineUnavailable; cancelling it ends the child."""
        config = _config(options)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "llm_workers.engines.llama_server"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # A session of its own: signals to the worker's group are for the worker, which drains before it ends this.
            start_new_session=True,
        )
        self = cls(process, config.api_key)
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(msgspec.json.encode(config) + b"\n")
            with suppress(ConnectionError):
                await process.stdin.drain()
            started = _read_started(await process.stdout.readline())
            if started.error or not started.url:
                await process.wait()
                raise EngineUnavailable(started.error or self._last_words())
            self.url = started.url
        except BaseException:
            await self.aclose()
            raise
        _log.info("model server started", extra={"pid": process.pid, "threads": config.threads, "slots": config.slots})
        return self

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    async def aclose(self) -> None:
        """End it, by force if it takes too long. Idempotent."""
        self._closing = True
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self) -> None:
        status = await self._process.wait()
        if not self._closing:
            _log.error("model server ended", extra={"status": status})
            self.ended.set()

    async def _read_errors(self) -> None:
        # Kept for a failure at the start, when there are no user's words yet, and shown then only.
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            if not self.url:
                self._last_lines.append(line.decode(errors="replace").strip())

    def _last_words(self) -> str:
        said = next((line for line in reversed(self._last_lines) if line), "it said nothing")
        return f"llama.cpp's server ended while starting: {said}"


def _config(options: EngineOptions) -> ServerConfig:
    return ServerConfig(
        model_path=str(_gguf(options.model_path)),
        model_name=options.model_name,
        api_key=secrets.token_hex(16),
        slots=options.slots or DEFAULT_SLOTS,
        threads=options.threads or max(1, len(os.sched_getaffinity(0)) // 2),
        context_tokens=options.context_tokens or MAX_CONTEXT_TOKENS,
        use_gpu=options.device != "cpu",
        prompt_cache_mib=_PROMPT_CACHE_MIB,
    )


def _gguf(path: Path | None) -> Path:
    if path is None:
        raise EngineUnavailable("there are no weights, and no base URL of a server that has some")
    if path.is_file():
        return path
    found = sorted(path.glob("*.gguf"))
    if len(found) != 1:
        raise EngineUnavailable(f"there must be one GGUF file in {path}, and there are {len(found)}")
    return found[0]


def _read_started(line: bytes) -> Started:
    try:
        return msgspec.json.decode(line, type=Started)
    except msgspec.MsgspecError:
        return Started()
