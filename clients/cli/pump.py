"""Blocking readers behind an async iterator."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import closing, suppress

MAX_CHUNKS = 8


async def pump(
    read: Callable[[], Generator[bytes, None, None]], *, max_chunks: int = MAX_CHUNKS
) -> AsyncGenerator[bytes, None]:
    """Run a blocking generator in a thread of its own and give its chunks in order; its exception comes last.

    At most `max_chunks` wait: then the thread does, so nothing is lost. Close it with `aclosing`. A thread that
    is stuck in a read is left behind: it is a daemon, so it never holds up the exit of the process.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
    room = threading.Semaphore(max_chunks)
    stopped = threading.Event()

    def post(item: bytes | Exception | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(arrived.put_nowait, item)

    def run() -> None:
        try:
            with closing(read()) as chunks:
                for chunk in chunks:
                    room.acquire()
                    if stopped.is_set():
                        return
                    post(chunk)
        except Exception as error:
            post(error)
        else:
            post(None)

    threading.Thread(target=run, name="harken-audio-reader", daemon=True).start()
    try:
        while (item := await arrived.get()) is not None:
            if isinstance(item, Exception):
                raise item
            room.release()
            yield item
    finally:
        stopped.set()
        room.release()
