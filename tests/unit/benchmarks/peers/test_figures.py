from collections import Counter
from math import isnan
from pathlib import Path

from benchmarks.peers.figures import figures
from benchmarks.peers.observed import Observed
from benchmarks.playback import Played
from benchmarks.recordings import Recording, Spoken
from bus.contract.client_protocol import StageTimes, TranscriptFinal
from bus.contract.work import Word

TIMES = StageTimes(
    endpoint_s=0.5, queue_s=0.0, batch_wait_s=0.0, encode_s=0.3, decode_s=0.2, publish_s=0.0, total_s=1.0
)
RECORDING = Recording(
    "r", Path("r.flac"), "en", "read", ("scenario",), "the red door", 6.0, (Spoken(1.0, 3.0, "the red door"),)
)


def test_a_service_that_marks_finals_is_measured_at_them_and_others_where_the_last_word_stays() -> None:
    texts = [(3.2, "the red door")]
    word = Word(text="door", start_s=2.0, end_s=3.0, probability=1.0)
    event = TranscriptFinal(
        seq=1, segment=1, channel=0, start_s=1.0, end_s=3.0, text="the red door", words=(word,), language="en",
        model="base", times=TIMES,
    )  # fmt: skip
    marks = Observed(texts, played=Played([(4.0, event)]))
    assert round(figures([RECORDING], [marks]).final_p50_s, 3) == 1.0
    assert round(figures([RECORDING], [Observed(texts)]).final_p50_s, 3) == 0.2


def test_sessions_are_held_if_all_came_in_time_without_a_failure() -> None:
    assert figures([RECORDING], [Observed([(5.9, "the red door")])]).holds
    assert not figures([RECORDING], [Observed([(6.1, "the red door")])]).holds
    assert not figures([RECORDING], [Observed([(4.0, "the red door")], error="closed")]).holds


def test_a_session_that_was_refused_has_lost_its_words_and_says_why() -> None:
    result = figures([RECORDING, RECORDING], [Observed([(4.0, "the red door")]), Observed(error="refused: WAIT 1")])
    assert (result.utterances, result.lost, result.word_error_rate) == (2, 1, 0.5)
    assert result.errors == Counter({"refused: WAIT 1": 1})
    assert result.row("x", 2)["failed"] == 1


def test_where_nothing_came_there_is_no_number_and_nothing_is_held() -> None:
    result = figures([RECORDING], [Observed()])
    assert isnan(result.final_p50_s)
    assert not result.holds


def test_a_text_shown_again_is_no_change() -> None:
    observed = Observed()
    assert (observed.text, observed.changed_s) == ("", None)
    for at, text in ((1.0, "the"), (2.0, "the"), (3.0, "the red")):
        observed.show(at, text)
    assert observed.texts == [(1.0, "the"), (3.0, "the red")]
    assert observed.changed_s == 3.0
