"""Texts as a user saw them; times are seconds since the session began."""

from pathlib import Path

import pytest

from benchmarks.peers.settled import Settled, settled, texts_of
from benchmarks.recordings import Recording, Spoken
from bus.contract.client_protocol import ServerEvent, SpeechStarted, StageTimes, TranscriptFinal, TranscriptPartial

TIMES = StageTimes(
    endpoint_s=0.5, queue_s=0.0, batch_wait_s=0.0, encode_s=0.3, decode_s=0.2, publish_s=0.0, total_s=1.0
)
DOOR = Spoken(1.0, 3.0, "he saw the red door")
SHUT = Spoken(4.0, 6.0, "it was shut for good")


def rows(utterances: list[Spoken], *texts: tuple[float, str], language: str = "en") -> list[Settled]:
    recording = Recording("r", Path("r.flac"), language, "read", ("scenario",), "", 60.0, tuple(utterances))
    return settled(recording, texts)


def test_the_last_word_is_settled_when_it_stands_for_good_where_it_stays() -> None:
    (row,) = rows(
        [DOOR], (2.0, "he saw"), (3.5, "He saw the red door."), (4.0, "He saw the red."), (4.5, "He saw the red door.")
    )
    assert row == Settled(first_s=1.0, last_word_s=1.5, whole_s=1.5, lost=False)


def test_a_word_that_changes_in_the_middle_delays_the_whole_but_not_the_last_word() -> None:
    (row,) = rows([DOOR], (3.5, "she saw the red door"), (5.0, "he saw the red door"))
    assert row.last_word_s == pytest.approx(0.5)
    assert row.whole_s == pytest.approx(2.0)


def test_spelling_and_what_comes_later_do_not_unsettle() -> None:
    first, second = rows(
        [DOOR, SHUT], (3.5, "he saw the red door"), (7.0, "He saw the red door. It was shut for good.")
    )
    assert (first.whole_s, second.whole_s) == (0.5, 1.0)
    assert second.first_s == pytest.approx(3.0)


def test_the_same_word_elsewhere_is_not_the_last_one() -> None:
    (row,) = rows([Spoken(1.0, 3.0, "no I told him no")], (2.0, "no"), (3.5, "no I told him no"))
    assert row.last_word_s == pytest.approx(0.5)


def test_a_last_word_that_stays_wrong_is_settled_all_the_same() -> None:
    (row,) = rows([DOOR], (3.5, "he saw the red shore"))
    assert (row.last_word_s, row.lost) == (0.5, False)


def test_text_of_the_utterance_before_is_not_the_first_of_this_one() -> None:
    _, second = rows([DOOR, SHUT], (4.5, "he saw the red door"), (6.5, "he saw the red door it was shut for good"))
    assert second.first_s == pytest.approx(2.5)


def test_an_utterance_of_which_hardly_anything_came_is_lost() -> None:
    first, second = rows([DOOR, SHUT], (3.5, "he saw the red door"), (7.0, "he saw the red door it"))
    assert not first.lost
    assert second == Settled(None, None, None, lost=True)


def test_nothing_shown_is_everything_lost() -> None:
    assert [row.lost for row in rows([DOOR, SHUT])] == [True, True]
    assert [row.lost for row in rows([DOOR, SHUT], (2.0, ""))] == [True, True]


def test_nothing_said_has_nothing_to_settle() -> None:
    assert [row.lost for row in rows([Spoken(1.0, 3.0, "")], (2.0, "thank you"))] == [True]


def test_text_that_stood_before_the_words_were_spoken_is_no_first_sight_of_them() -> None:
    (row,) = rows([DOOR], (0.5, "he saw the red door"))
    assert row.first_s is None


def test_chinese_settles_by_character() -> None:
    (row,) = rows([Spoken(1.0, 3.0, "你好世界")], (2.0, "你好是"), (3.5, "你好世界"), language="zh")
    assert row.last_word_s == pytest.approx(0.5)


def partial(text: str, segment: int) -> TranscriptPartial:
    return TranscriptPartial(
        seq=1, segment=segment, channel=0, start_s=0.0, end_s=1.0, stable="", text=text, language="en"
    )


def final(text: str, segment: int) -> TranscriptFinal:
    return TranscriptFinal(
        seq=1, segment=segment, channel=0, start_s=0.0, end_s=1.0, text=text, words=(), language="en", model="base",
        times=TIMES,
    )  # fmt: skip


def test_finals_replace_partials_and_the_text_grows_by_segments() -> None:
    events: list[tuple[float, ServerEvent]] = [
        (0.0, SpeechStarted(seq=1, segment=1, channel=0, start_s=0.0)),
        (1.0, partial("the read", 1)),
        (2.0, partial("the read", 1)),
        (3.0, final("The red door.", 1)),
        (4.0, partial("", 2)),
        (5.0, partial("it", 2)),
    ]
    assert texts_of(events) == [(1.0, "the read"), (3.0, "The red door."), (5.0, "The red door. it")]
