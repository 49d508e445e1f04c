"""The figures of answers: what `/stats` and `--stats` show. Pure."""

from collections.abc import Sequence
from typing import Final

from bus.contract.client_protocol import ChatDone

_HEADINGS: Final = ("answer", "first token", "tokens/s", "queue", "total", "prompt", "cached", "tokens", "model")


def tokens_per_s(done: ChatDone) -> float | None:
    """Speed of generation: without the wait in the queue and the reading of the prompt. None if it took no time."""
    generate_s = done.times.total_s - done.times.queue_s - done.times.prefill_s
    return done.usage.completion_tokens / generate_s if generate_s > 0 else None


def figures_line(done: ChatDone) -> str:
    """Give the figures of one answer as a line."""
    speed = tokens_per_s(done)
    return ", ".join(
        [
            f"first token {done.times.first_delta_s:.2f} s",
            "-" if speed is None else f"{speed:.1f} tokens/s",
            f"queue {done.times.queue_s:.2f} s",
            f"prompt {done.usage.prompt_tokens} tokens ({done.usage.cached_tokens} cached)",
            f"answer {done.usage.completion_tokens} tokens",
            done.model,
        ]
    )


def figures_table(answers: Sequence[ChatDone]) -> list[str]:
    """Give the figures of several answers as the lines of a table, headings first."""
    rows = [_HEADINGS, *map(_row, answers)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _row(done: ChatDone) -> tuple[str, ...]:
    speed = tokens_per_s(done)
    return (
        str(done.answer),
        f"{done.times.first_delta_s:.2f} s",
        "-" if speed is None else f"{speed:.1f}",
        f"{done.times.queue_s:.2f} s",
        f"{done.times.total_s:.2f} s",
        str(done.usage.prompt_tokens),
        str(done.usage.cached_tokens),
        str(done.usage.completion_tokens),
        done.model,
    )
