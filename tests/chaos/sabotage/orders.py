"""How the runner tells a process of the stack to go wrong at a moment that no signal could hit by chance.

The runner writes one order into the file that `CHAOS_ORDERS` names, and sends SIGUSR1; the process reads it then. An
order stands until the process ends, or carries it out.
"""

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Literal, TypeAlias, get_args

VARIABLE = "CHAOS_ORDERS"

Order: TypeAlias = Literal[
    "die_in_decode",
    "die_in_batch",
    "die_before_ack",
    "run_out_of_memory",
    "answer_nothing",
    "answer_other_windows",
    "answer_what_no_one_can_read",
    "answer_impossible_times",
    "fail_always",
]
GARBAGE: tuple[Order, ...] = (
    "answer_nothing",
    "answer_other_windows",
    "answer_what_no_one_can_read",
    "answer_impossible_times",
    "fail_always",
)
_ORDERS: tuple[Order, ...] = get_args(Order)


class Orders:
    """What this process was told, if anything."""

    def __init__(self, path: Path) -> None:
        self.current: Order | None = None
        self._path = path

    def listen(self) -> None:
        """Take orders from now on. On the main thread."""
        signal.signal(signal.SIGUSR1, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        text = self._path.read_text(encoding="utf-8").strip()
        self.current = next((order for order in _ORDERS if order == text), None)


def die() -> None:
    """As a crash does: nothing is flushed, nobody is told."""
    os.kill(os.getpid(), signal.SIGKILL)
