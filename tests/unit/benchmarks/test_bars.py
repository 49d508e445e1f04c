from benchmarks.bars import Bar, all_met, bar_row


def test_a_figure_may_reach_its_bar() -> None:
    assert Bar("final p95", 1.1).verdict(1.1) == "met"
    assert Bar("final p95", 1.1).verdict(1.2) == "missed"


def test_where_more_is_better_the_bar_is_the_least() -> None:
    bar = Bar("sessions held", 8, at_least=True)
    assert (bar.verdict(8), bar.verdict(7)) == ("met", "missed")
    assert bar.text == "at least 8"


def test_what_could_not_be_measured_is_not_met() -> None:
    rows = [bar_row(Bar("final p95", 1.1), 1.0), bar_row(Bar("first partial p50", 0.8), float("nan"))]
    assert [row["verdict"] for row in rows] == ["met", "not measured"]
    assert all_met(rows[:1])
    assert not all_met(rows)


def test_a_row_names_figure_value_and_bar() -> None:
    assert bar_row(Bar("ratio", 1.3), 1.25) == {
        "figure": "ratio", "measured": 1.25, "bar": "at most 1.3", "verdict": "met"
    }  # fmt: skip
