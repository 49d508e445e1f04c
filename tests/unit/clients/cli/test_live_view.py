import io

import pytest
from rich.console import Console

from clients.cli.live_view import LiveView, QuietView, clock, final_line, region_text
from tests.unit.clients.events import committed, failed, final, partial, resumed


def make_view(*, shows_finals: bool = True, labelled: bool = False) -> tuple[LiveView, io.StringIO]:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    return LiveView(console, shows_finals=shows_finals, shares_stdout=False, labelled=labelled), screen


def test_stable_words_stand_out_from_the_tail() -> None:
    text = region_text("a.wav", [partial(2, stable="hello", text="hello wor", start_s=61.25)])
    assert text.plain == "a.wav  [01:01.2] hello wor"
    styles = {text.plain[span.start : span.end]: span.style for span in text.spans}
    assert styles["hello"] == "bold"
    assert styles[" wor"] == "dim"


def test_of_a_long_utterance_the_newest_part_is_shown() -> None:
    text = region_text(None, [partial(2, stable="a" * 300, text="a" * 300 + "tail")])
    assert text.plain == "[00:00.0] ..." + "a" * 236 + "tail"


def test_two_channels_have_a_line_each() -> None:
    text = region_text(None, [partial(2, text="left"), partial(3, text="right", channel=1)])
    assert text.plain == "[00:00.0] left\n[00:00.0] right"


def test_silence_shows_that_it_listens() -> None:
    assert region_text(None, []).plain == "listening"


def test_a_final_is_a_line_with_its_time() -> None:
    assert final_line("a.wav", final(2, text=" words ", start_s=3661.0)).plain == "[1:01:01.0] a.wav  words"


def test_finals_scroll_by_and_running_text_stands_below() -> None:
    view, screen = make_view(labelled=True)
    with view:
        view.opened("a.wav")
        view.on_event("a.wav", partial(2, segment=1, stable="hello", text="hello world"))
        view.on_event("a.wav", committed(3, 1))
        view.message("a line [not markup]")
        view._live.refresh()
        assert "a line [not markup]" in screen.getvalue()
        assert "a.wav  [00:00.0] hello world" in screen.getvalue()
        view.on_event("a.wav", final(4, segment=1, text="hello world"))
        view.on_event("a.wav", final(5, segment=2, text=" "))
        view.table("latencies", [("audio", "1.0 s")])
        view.closed("a.wav")
        view.closed("a.wav")
    assert "[00:00.0] a.wav  hello world" in screen.getvalue()
    assert "latencies" in screen.getvalue()


def test_a_result_clears_the_running_text_of_its_segment_and_not_of_a_later_one() -> None:
    view, screen = make_view(shows_finals=False)
    with view:
        view.on_event("a.wav", partial(2, segment=1, text="first"))
        view.on_event("a.wav", failed(3, segment=1))
        view.on_event("a.wav", partial(4, segment=3, text="third"))
        view.on_event("a.wav", final(5, segment=2, text="second"))
        view._live.refresh()
        assert "third" in screen.getvalue()
        assert "first" not in screen.getvalue()


def test_a_resume_clears_all_running_text() -> None:
    view, screen = make_view(shows_finals=False)
    with view:
        view.on_event("a.wav", partial(2, segment=1, text="first"))
        view.on_event("a.wav", resumed(3))
        view._live.refresh()
        assert "first" not in screen.getvalue()


def test_the_quiet_view_only_prints_messages_and_figures_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with QuietView() as view:
        view.opened("a.wav")
        view.on_event("a.wav", final(2))
        view.closed("a.wav")
        view.message("a line")
        view.table("latencies", [("audio", "1.0 s"), ("longer name", "2")])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "a line\nlatencies\n  audio        1.0 s\n  longer name  2\n"


@pytest.mark.parametrize(("time_s", "text"), [(-1, "00:00.0"), (59.96, "01:00.0"), (3600.0, "1:00:00.0")])
def test_the_clock_carries(time_s: float, text: str) -> None:
    assert clock(time_s) == text
