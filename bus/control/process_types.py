"""The kinds of process that make up a Harken, how each is started, and in which order they stop.

The Procfile in the root is this table for Procfile runners; a test keeps the two equal.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NATS_HOST = "127.0.0.1"
NATS_PORT = 4222
"""Where the process type `nats` of the Procfile listens, and where `NATS_URL` points if it is not set."""


@dataclass(frozen=True, slots=True)
class ProcessType:
    """One kind. Lower `stop_stage` stops first; a process that outlives `stop_budget_s` is killed.

    Lower `restart_stage` is replaced first in a rolling restart, and None never.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    stop_stage: int
    stop_budget_s: float
    restart_stage: int | None

    def argv(self, executable: str, arguments: Sequence[str] | None = None) -> tuple[str, ...]:
        """The command; `arguments` in place of those of the Procfile."""
        return (executable, "-m", self.module, *(self.arguments if arguments is None else arguments))

    @property
    def procfile_line(self) -> str:
        """`name: command` as in the Procfile."""
        return f"{self.name}: {' '.join(self.argv('python'))}"


NATS = ProcessType(
    "nats",
    "bus.nats_server",
    ("--data-dir", ".harken/nats", "--port", str(NATS_PORT)),
    # Last: gateways and workers still publish what they have while they drain.
    stop_stage=2,
    stop_budget_s=10.0,
    # Two servers cannot have one store, and one that is gone for a moment is a pause for everybody.
    restart_stage=None,
)
# First: clients are told to move while everything that can still answer them runs. Sessions go on for a while, and
# their last finals are waited for. Replaced last: what a new gateway asks for, new workers know.
GATEWAY = ProcessType("gateway", "stream_gateway", (), stop_stage=0, stop_budget_s=45.0, restart_stage=2)
ASR = ProcessType("asr", "asr_workers", (), stop_stage=1, stop_budget_s=20.0, restart_stage=0)
LLM = ProcessType("llm", "llm_workers", (), stop_stage=1, stop_budget_s=20.0, restart_stage=1)

PROCESS_TYPES: tuple[ProcessType, ...] = (NATS, GATEWAY, ASR, LLM)


def procfile(types: Iterable[ProcessType] = PROCESS_TYPES) -> str:
    """The text of the Procfile."""
    return "".join(f"{t.procfile_line}\n" for t in types)
