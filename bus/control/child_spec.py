"""What a supervised child is, and in which order children stop. Pure."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run under `name`. `environment` is the whole of it."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_stage: int = 0
    stop_budget_s: float = 10.0
    restart_stage: int | None = 0
    """When its turn comes in a rolling restart; None: never, it goes on as it is."""


def stop_order(specs: Sequence[ChildSpec]) -> list[list[str]]:
    """Names grouped by stop stage, first to stop first; those of one group stop together."""
    ordered = sorted(specs, key=lambda s: (s.stop_stage, s.name))
    return [[s.name for s in stage] for _, stage in itertools.groupby(ordered, key=lambda s: s.stop_stage)]


def restart_order(specs: Sequence[ChildSpec]) -> list[str]:
    """Names in the order in which their processes are replaced, one by one."""
    turns = [(s.restart_stage, s.name) for s in specs if s.restart_stage is not None]
    return [name for _, name in sorted(turns)]
