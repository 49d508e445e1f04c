import io

from hypothesis import given
from hypothesis import strategies as st

from bus.control.console import Console, LineSplitter


def test_lines_are_the_same_however_the_bytes_arrive() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == ["one"]
    assert splitter.feed(b"o\r\n\nthree") == ["two", ""]
    assert splitter.flush() == ["three"]
    assert splitter.flush() == []


@given(st.lists(st.binary(max_size=12)))
def test_no_byte_of_a_short_line_is_lost_in_any_cut(pieces: list[bytes]) -> None:
    splitter = LineSplitter()
    lines = [line for piece in pieces for line in splitter.feed(piece)] + splitter.flush()
    whole = LineSplitter()
    assert lines == whole.feed(b"".join(pieces)) + whole.flush()


def test_a_long_line_is_cut_and_says_how_much_is_missing() -> None:
    splitter = LineSplitter(max_line_bytes=5)
    assert splitter.feed(b"12345678") == []
    assert splitter.feed(b"9" * 1000) == []
    assert splitter.feed(b"\nnext\n") == ["12345 ... [1003 bytes cut]", "next"]


def test_bytes_that_are_not_text_are_replaced() -> None:
    assert LineSplitter().feed(b"\xff\n") == ["\N{REPLACEMENT CHARACTER}"]


def test_names_stand_before_lines_in_one_width() -> None:
    stream = io.StringIO()
    console = Console(stream, width=8, colour=False)
    console.show("nats", "hello")
    console.show("gateway", "there")
    assert stream.getvalue() == "nats     | hello\ngateway  | there\n"


def test_on_a_terminal_each_name_keeps_its_colour() -> None:
    stream = io.StringIO()
    console = Console(stream, width=1, colour=True)
    for name in ("a", "b", "a"):
        console.show(name, "x")
    a, b, again = stream.getvalue().splitlines()
    assert a == again == "\x1b[36ma |\x1b[0m x"
    assert b.startswith("\x1b[33m")


class _BrokenPipe(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_has_gone_stops_nothing() -> None:
    Console(_BrokenPipe(), width=1, colour=False).show("a", "x")
    closed = io.StringIO()
    closed.close()
    Console(closed, width=1, colour=False).show("a", "x")
