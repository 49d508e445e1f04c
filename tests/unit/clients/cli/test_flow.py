import pytest

from clients.cli.flow import AnswerFlow, printable, wrap


def flow(*pieces: str, columns: int = 10) -> tuple[list[str], str]:
    answer = AnswerFlow()
    return [row for piece in pieces for row in answer.push(piece, columns)], answer.tail


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\r\n", "two\nlines\n"),
        ("a\tb", "a    b"),
        ("\x1b[2Jgone\x07\x9b1m", "[2Jgone1m"),
        ("naïve 日本", "naïve 日本"),
    ],
)
def test_nothing_that_steers_a_terminal_is_left(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [""]),
        ("0123456789", ["0123456789"]),
        ("one two three", ["one two", "three"]),
        ("0123456789 0", ["0123456789", "0"]),
        ("0123456789abc", ["0123456789", "abc"]),
        ("a 0123456789abc", ["a", "0123456789", "abc"]),
        ("one two three four five", ["one two", "three four", "five"]),
        ("日本日本日本", ["日本日本日", "本"]),
        ("e\u0301" * 10, ["e\u0301" * 10]),
    ],
)
def test_a_line_is_cut_at_blanks_by_the_columns_it_takes(text: str, rows: list[str]) -> None:
    assert wrap(text, 10) == rows


def test_a_character_wider_than_the_terminal_has_a_row_of_its_own() -> None:
    assert wrap("日本", 1) == ["日", "本"]


def test_rows_come_as_soon_as_they_are_full_and_the_rest_is_the_tail() -> None:
    assert flow("one ", "two ", "thr") == (["one two"], "thr")


def test_rows_do_not_depend_on_how_the_text_was_cut_into_pieces() -> None:
    text = "one two three\n\n  four five six seven\nend"
    whole = flow(text)
    assert flow(*text) == whole
    assert whole == (["one two", "three", "", "  four", "five six", "seven"], "end")


def test_the_last_row_comes_at_the_end_and_once() -> None:
    answer = AnswerFlow()
    was_empty = [answer.is_empty]
    answer.push("one", 10)
    assert [*was_empty, answer.is_empty] == [True, False]
    assert [answer.finish(), answer.finish()] == [["one"], []]


def test_code_keeps_its_lines_as_they_are() -> None:
    fence = "```"
    text = f"Like this:\n{fence}python\nprint('one two three')\n{fence}\nand so on and on"
    expected = ["Like this:", f"{fence}python", "print('one two three')", fence, "and so on"]
    assert flow(text, columns=10) == (expected, "and on")
    assert flow(*text, columns=10) == (expected, "and on")


def test_a_line_of_code_that_has_no_end_yet_is_the_tail_whole() -> None:
    assert flow("```\n0123456789abc") == (["```"], "0123456789abc")


def test_backticks_within_prose_begin_no_code() -> None:
    assert flow("see also: ```\none two three") == (["see also:", "```", "one two"], "three")
    text = "0123456789 ```\none two three"
    assert flow(text) == flow(*text) == (["0123456789", "```", "one two"], "three")
