"""Figures from hand-made sessions. Times of arrival and of audio are seconds since the session began."""

from pathlib import Path

import pytest

from benchmarks.playback import Played
from benchmarks.recordings import Recording, Spoken
from benchmarks.timing import Heard, Revisions, heard, merged, revisions
from bus.contract.client_protocol import StageTimes, TranscriptFinal, TranscriptPartial
from bus.contract.work import Word

TIMES = StageTimes(
    endpoint_s=0.5, queue_s=0.0, batch_wait_s=0.0, encode_s=0.3, decode_s=0.2, publish_s=0.0, total_s=1.0
)


def recording(*utterances: Spoken) -> Recording:
    return Recording("r", Path("r.flac"), "en", "read", ("scenario",), "", 60.0, utterances)


def partial(text: str, *, end_s: float, stable: str = "", segment: int = 1) -> TranscriptPartial:
    return TranscriptPartial(
        seq=1, segment=segment, channel=0, start_s=1.0, end_s=end_s, stable=stable, text=text, language="en"
    )


def final(text: str, start_s: float, end_s: float, *, segment: int = 1) -> TranscriptFinal:
    """Its words share its time evenly."""
    parts = text.split()
    step_s = (end_s - start_s) / max(1, len(parts))
    words = tuple(
        Word(text=part, start_s=start_s + index * step_s, end_s=start_s + (index + 1) * step_s, probability=1.0)
        for index, part in enumerate(parts)
    )
    return TranscriptFinal(
        seq=1, segment=segment, channel=0, start_s=start_s, end_s=end_s, text=text, words=words, language="en",
        model="base", times=TIMES,
    )  # fmt: skip


def one_heard(spoken: Spoken, *events: tuple[float, TranscriptPartial | TranscriptFinal]) -> Heard:
    (row,) = heard(recording(spoken), Played(list(events)))
    return row


def test_the_last_word_is_seen_when_a_partial_first_has_it_and_settled_when_it_stays() -> None:
    row = one_heard(
        Spoken(1.0, 4.0, "he saw the red door"),
        (2.0, partial("he saw", end_s=1.8)),
        (4.1, partial("he saw the red door", end_s=3.9)),
        (4.4, partial("he saw the red doe", end_s=4.2)),
        (4.6, partial("he saw the red door", end_s=4.4)),
        (5.0, final("He saw the red door.", 1.0, 4.0)),
    )
    assert row.first_partial_s == pytest.approx(1.0)
    assert row.sight_s == pytest.approx(0.1)
    assert row.settled_s == pytest.approx(0.6)
    assert row.final_s == pytest.approx(1.0)
    assert row.parts == 1


def test_a_word_that_only_the_final_has_is_seen_with_it() -> None:
    row = one_heard(
        Spoken(1.0, 4.0, "the red door"), (3.0, partial("the read", end_s=2.8)), (5.0, final("The red door.", 1.0, 4.0))
    )
    assert (row.sight_s, row.settled_s, row.final_s) == (1.0, 1.0, 1.0)


def test_the_same_word_earlier_in_the_utterance_is_not_the_last_one() -> None:
    row = one_heard(
        Spoken(1.0, 4.0, "no I said to him no"),
        (2.0, partial("no", end_s=1.6)),
        (5.0, final("No, I said to him no.", 1.0, 4.0)),
    )
    assert row.sight_s == pytest.approx(1.0)


def test_an_utterance_without_words_is_lost() -> None:
    row = one_heard(Spoken(1.0, 4.0, "the red door"), (5.0, final("", 1.0, 4.0)), (9.0, final("Later.", 6.0, 7.0)))
    assert row == Heard(None, None, None, None, 0, excusable=False)


def test_two_finals_of_one_utterance_are_a_cut_and_the_later_one_has_the_last_word() -> None:
    spoken = Spoken(1.0, 6.0, "the red door is shut", longest_pause_s=0.9)
    row = one_heard(spoken, (4.0, final("The red door", 1.0, 3.0)), (7.0, final("is shut", 3.9, 6.0, segment=2)))
    assert (row.parts, row.excusable, row.final_s) == (2, True, 1.0)


def test_one_final_of_two_utterances_has_a_last_word_for_each() -> None:
    two = recording(Spoken(1.0, 3.0, "the red door"), Spoken(4.0, 6.0, "it is shut"))
    played = Played(
        [
            (3.4, partial("the red door", end_s=3.3)),
            (6.4, partial("the red door it is shut", end_s=6.3)),
            (7.0, final("the red door it is shut", 1.0, 6.0)),
        ]
    )
    assert merged(two, played) == 1
    assert [round(row.sight_s or 9, 3) for row in heard(two, played)] == [0.4, 0.4]


def test_padding_that_touches_a_neighbour_is_not_hearing_it() -> None:
    two = recording(Spoken(1.0, 3.0, "the red door"), Spoken(3.7, 6.0, "it is shut"))
    played = Played([(4.0, final("The red door.", 0.8, 3.8)), (7.0, final("It is shut.", 3.5, 6.2, segment=2))])
    assert merged(two, played) == 0
    assert [row.parts for row in heard(two, played)] == [1, 1]


def test_words_that_come_and_go_are_revisions() -> None:
    played = Played(
        [
            (2.0, partial("the read", end_s=1.8)),
            (3.0, partial("the red door", stable="the", end_s=2.8)),
            (5.0, final("A red door.", 1.0, 4.0)),
        ]
    )
    # Shown: the, read, red, door. Changed: read by the second partial, the by the final.
    assert revisions(played) == Revisions(shown=4, changed=2, stable=1, stable_changed=1)


def test_a_final_without_partials_revises_nothing() -> None:
    assert revisions(Played([(5.0, final("A red door.", 1.0, 4.0))])) == Revisions()
