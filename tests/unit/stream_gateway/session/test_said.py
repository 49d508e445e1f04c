from stream_gateway.session.said import Prior, Said
from stream_gateway.session.utterance import FinalWindow
from tests.unit.stream_gateway.session.builders import samples


def utterance(segment: int, start_s: float, end_s: float) -> FinalWindow:
    """Speech from 0.4 s after the window's start to 0.1 s before its end."""
    return FinalWindow(
        segment=segment,
        channel=0,
        start_sample=samples(start_s),
        end_sample=samples(end_s),
        speech_start_sample=samples(start_s + 0.4),
        speech_end_sample=samples(end_s - 0.1),
    )


def said(*spoken: tuple[float, float, str]) -> Said:
    memory = Said()
    for segment, (start_s, end_s, text) in enumerate(spoken, start=1):
        memory.on_utterance(utterance(segment, start_s, end_s))
        memory.on_text(segment, text)
    return memory


def test_nothing_precedes_the_first_utterance() -> None:
    assert Said().before(utterance(1, 0.0, 2.0)) is None


def test_an_utterance_goes_on_after_those_right_before_it() -> None:
    memory = said((0.0, 2.0, "one two"), (2.5, 4.0, "three"))
    assert memory.before(utterance(3, 4.5, 6.0)) == Prior(0, "one two three")


def test_what_was_said_long_before_is_left_out() -> None:
    memory = said((0.0, 2.0, "one two"), (4.0, 6.0, "three"))
    assert memory.before(utterance(3, 6.5, 8.0)) == Prior(samples(4.0), "three")
    assert memory.before(utterance(3, 8.0, 9.0)) is None


def test_no_more_is_heard_along_than_fits_one_window() -> None:
    memory = said((0.0, 5.0, "one"), (5.5, 10.0, "two"))
    assert memory.before(utterance(3, 10.5, 13.9)) == Prior(0, "one two")
    assert memory.before(utterance(3, 10.5, 14.1)) == Prior(samples(5.5), "two")
    assert memory.before(utterance(3, 10.5, 24.0)) is None


def test_an_utterance_without_a_text_breaks_the_line() -> None:
    memory = said((0.0, 2.0, "one two"), (2.5, 4.0, ""))
    assert memory.before(utterance(3, 4.5, 6.0)) is None
    memory.on_text(2, "three")
    assert memory.before(utterance(3, 4.5, 6.0)) == Prior(0, "one two three")


def test_an_utterance_does_not_precede_itself() -> None:
    memory = said((0.0, 2.0, "one two"), (2.5, 4.0, "three"))
    assert memory.before(utterance(2, 2.5, 4.0)) == Prior(0, "one two")


def test_audio_is_kept_for_as_long_as_somebody_may_go_on_after_it() -> None:
    memory = said((0.0, 2.0, "one two"))
    assert memory.keep_from(samples(2.0), samples(2.1)) == 0
    assert memory.keep_from(samples(3.0), samples(3.9)) == 0
    assert memory.keep_from(samples(3.9), samples(4.0)) == samples(3.9)
    assert memory.before(utterance(2, 3.0, 4.0)) is None  # its audio is gone


def test_audio_that_no_window_could_hold_is_not_kept() -> None:
    memory = said((0.0, 6.0, "one"), (6.5, 13.0, "two"))
    assert memory.keep_from(samples(13.0), samples(13.5)) == 0
    assert memory.keep_from(samples(13.0), samples(14.1)) == samples(6.5)


def test_audio_of_a_final_that_is_owed_is_kept_whatever_follows() -> None:
    assert said((5.0, 6.0, "one")).keep_from(samples(1.0), samples(30.0)) == samples(1.0)
    assert said((5.0, 6.0, "one")).keep_from(samples(1.0), samples(6.5)) == samples(1.0)
