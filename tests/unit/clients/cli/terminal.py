"""A command of ours on a terminal of its own, as a person would use it."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PATIENCE_S = 30.0
ENTER = "\r"
CTRL_C = "\x03"
CTRL_D = "\x04"
UP = "\x1b[A"

_STEERING = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")


def environment() -> dict[str, str]:
    """Of a person who has set nothing of ours, at a terminal that answers no questions."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("HARKEN_", "NO_COLOR"))}
    return {**ours, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}


class Terminal:
    """What the command shows, and the keys that are pressed."""

    def __init__(self, controller: int, process: Process) -> None:
        self.process = process
        self.raw = ""
        """All that came, with what steers the terminal."""
        self._controller = controller
        self._seen = 0
        self._changed = asyncio.Event()
        self._hung_up = False
        asyncio.get_running_loop().add_reader(controller, self._read)

    @property
    def shown(self) -> str:
        """All that was ever shown, without what steers the terminal."""
        return _STEERING.sub("", self.raw)

    def press(self, keys: str) -> None:
        os.write(self._controller, keys.encode())

    async def until(self, text: str) -> None:
        """Wait until `text` is shown after what was waited for last."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (at := self.shown.find(text, self._seen)) < 0 and not self._hung_up:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            at = -1
        assert at >= 0, f"{text!r} was not shown, but {self.shown[self._seen :]!r}"
        self._seen = at + len(text)

    async def ended(self) -> int:
        """Wait until the command has ended and all that it showed was read; gives its exit status."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._hung_up:
                self._changed.clear()
                await self._changed.wait()
            return await self.process.wait()

    def close(self) -> None:
        if not self._hung_up:
            asyncio.get_running_loop().remove_reader(self._controller)
        os.close(self._controller)

    def _read(self) -> None:
        try:
            data = os.read(self._controller, 65_536)
        except OSError:  # how Linux says that the last process has left the terminal
            data = b""
        if not data:
            self._hung_up = True
            asyncio.get_running_loop().remove_reader(self._controller)
        self.raw += data.decode(errors="replace")
        self._changed.set()


@asynccontextmanager
async def on_terminal(program: str, *arguments: str, columns: int = 80) -> AsyncIterator[Terminal]:
    """Run a Python program at a terminal; it is killed if it does not end by itself."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, *arguments),
        stdin=terminal, stdout=terminal, stderr=terminal, env=environment(), start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    screen = Terminal(controller, process)
    try:
        yield screen
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        screen.close()
