"""How a benchmark shows its figures: a table for people and one JSON line for machines."""

import os
from collections.abc import Mapping, Sequence

import msgspec
from rich.console import Console
from rich.table import Table

Row = Mapping[str, float | int | str]


def show_table(title: str, rows: Sequence[Row]) -> None:
    """One column per row of figures, one line per figure; the first figure of each row is its heading."""
    names = list(rows[0])
    print(f"\n{title}")
    table = Table()
    table.add_column(names[0])
    for row in rows:
        table.add_column(_text(row[names[0]]), justify="right")
    for name in names[1:]:
        table.add_row(name, *(_text(row.get(name, "")) for row in rows))
    Console(width=140).print(table)


def show_lines(title: str, rows: Sequence[Row]) -> None:
    """One line per row of figures, one column per figure: for many rows of few figures. Nothing for no rows."""
    if not rows:
        return
    print(f"\n{title}")
    table = Table()
    for name in rows[0]:
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    Console(width=140).print(table)


def show_json(benchmark: str, figures: Mapping[str, object]) -> None:
    """The one line: all figures, and on how many cores they were taken. A figure without a value is null."""
    line = {"benchmark": benchmark, "cores": len(os.sched_getaffinity(0)), **figures}
    print(msgspec.json.encode(line).decode())


def _text(value: float | int | str) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
