"""What a SIGHUP means: the terminal is gone, or somebody asks."""

import contextlib
import os
import signal

_TERMINAL = "/dev/tty"


class Terminal:
    """The terminal that this process was started in, if there was one."""

    def __init__(self) -> None:
        self._had_one = _is_there()
        self.matters = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        """Whether this process is to end with it; whoever starts it by `nohup` says no."""

    @property
    def is_gone(self) -> bool:
        """Whether it was there and is no more: then the kernel or the shell has sent the signal, and nobody asks."""
        return self._had_one and not _is_there()


def _is_there() -> bool:
    with contextlib.suppress(OSError):
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY))
        return True
    return False
