"""Chat: what Harken adds to the model server behind it, and what happens when answers are many, stopped or broken off.

Each section can be run alone; without a flag all of them run. Prints tables, the bars and one JSON line. Model: the
embedded default, by llama.cpp on half of the cores. `python -m benchmarks.chat --help`
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import click
import uvloop

from benchmarks import chat_detour, chat_scripted, chat_voice
from benchmarks.bars import Bar, bar_row
from benchmarks.report import Row, show_json, show_lines

Section = Callable[[int], Coroutine[Any, Any, Row]]

_SECTIONS: dict[str, tuple[Section, int, str]] = {
    "first-token": (chat_detour.first_token, 40, "Time to first token of one session, against the server itself."),
    "rate": (chat_detour.rate, 10, "Tokens per second at 1 and 8 turns at once, against the server itself."),
    "voice": (chat_voice.voice, 5, "End of speech to the first words of the answer."),
    "cancel": (chat_detour.cancel, 20, "Cancel to the last token that the server produced."),
    "cancel-prompt": (chat_detour.cancel_prompt, 12, "Cancel while a long prompt is read, to the server at rest."),
    "many": (chat_scripted.many, 50, "Turns at once on one gateway and one worker, with the scripted engine."),
    "killed": (chat_scripted.killed, 5, "Worker killed in mid-answer to next token of another, scripted engine."),
}
_BARS = (
    Bar("time to first token added, p50", 0.015),
    Bar("time to first token added, p95", 0.040),
    Bar("tokens/s of direct, 1 turn", 0.95, at_least=True),
    Bar("tokens/s of direct, 8 turns", 0.95, at_least=True),
    Bar("voice to first token, p50", 1.2),
    Bar("cancel to last token, p95", 0.1),
    Bar("token delay of many turns, p99", 0.05),
    Bar("turns of many not exact", 0),
    Bar("killed worker to next token, max", 3.0),
    Bar("turns after a kill not exact", 0),
    Bar("turns with an error", 0),
)


def _with_flags(command: Callable[..., None]) -> Callable[..., None]:
    for name, (_, repeats, text) in reversed(_SECTIONS.items()):
        command = click.option(f"--{name}", is_flag=True, help=f"{text} {repeats} times.")(command)
    return command


@click.command()
@_with_flags
@click.option("--repeats", type=int, help="How often each section asks, instead of its own number of times.")
def main(repeats: int | None, **wanted: bool) -> None:
    """Measure chat through Harken."""
    names = [name for name in _SECTIONS if wanted[name.replace("-", "_")]] or list(_SECTIONS)
    figures: dict[str, Row] = {}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for name in names:
            section, usual, text = _SECTIONS[name]
            figures[name] = runner.run(section(repeats or usual))
            show_lines(f"{name}: {text}", [{"figure": key, "value": value} for key, value in figures[name].items()])
    bars = bar_rows(list(figures.values()))
    show_lines("bars", bars)
    show_json("chat", {**figures, "bars": bars})


def bar_rows(sections: Sequence[Row]) -> list[Row]:
    """What the sections that ran are held to."""
    return [bar_row(bar, float(row[bar.figure])) for row in sections for bar in _BARS if bar.figure in row]


if __name__ == "__main__":
    main()
