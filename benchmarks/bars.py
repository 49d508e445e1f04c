"""Figures beside the bars they are held to. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Literal

from benchmarks.report import Row

Verdict = Literal["met", "missed", "not measured"]


@dataclass(frozen=True, slots=True)
class Bar:
    """What one figure is held to."""

    figure: str
    limit: float
    at_least: bool = False
    """The figure is good from the limit on; otherwise up to it."""

    def verdict(self, value: float) -> Verdict:
        """Whether `value` meets it; NaN is a figure that could not be taken."""
        if isnan(value):
            return "not measured"
        return "met" if (value >= self.limit if self.at_least else value <= self.limit) else "missed"

    @property
    def text(self) -> str:
        """For a table."""
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g}"


def bar_row(bar: Bar, value: float) -> Row:
    """One line of a table of bars."""
    return {"figure": bar.figure, "measured": value, "bar": bar.text, "verdict": bar.verdict(value)}


def all_met(rows: Sequence[Row]) -> bool:
    """Whether nothing in such a table is missed or not measured."""
    return all(row["verdict"] == "met" for row in rows)
