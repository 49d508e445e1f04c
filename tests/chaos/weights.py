"""Runs with real weights: the bundled recording, and how texts of the same audio are compared.

The same decoder hears the same audio, yet need not write the same: a final that was decoded after its session was
taken up lacks the phrase before it, and one that was hurried has less context. So a session is held to what the same
audio gave in an undisturbed run, and where the two differ, to the words that were said.
"""

from dataclasses import dataclass, field
from random import Random

import jiwer
import numpy as np

from benchmarks.scoring import tokens
from tests.chaos.client import Seen
from tests.chaos.plans import SessionPlan
from tests.chaos.promises import Verdict
from tests.chaos.recording import SAMPLE_RATE_HZ, recording, said, utterances
from tests.chaos.speech import Spoken

_UTTERANCES = 3
_ROOM_S = 0.5
_AFTER_S = 0.8
_WORSE = 0.03
"""How many more words may be wrong than in the undisturbed run, as a share of those that were said."""


def plan_real_sessions(random: Random, *, sessions: int) -> list[SessionPlan]:
    """So many clients, each with three utterances of the recording: every take comes again, in every run."""
    return [
        SessionPlan(
            number=number,
            kind="speech" if number % 2 == 0 else "finals_only",
            channels=(_take(number),),
            starts_after_s=random.uniform(0.0, 1.5),
        )
        for number in range(sessions)
    ]


@dataclass(slots=True)
class References:
    """What undisturbed runs gave, by the number of the client."""

    heard: dict[int, list[str]] = field(default_factory=dict)

    def learn(self, seen: Seen) -> None:
        """From a session that nothing happened to."""
        self.heard[seen.plan.number] = _heard(seen)

    def compare(self, seen: Seen, verdict: Verdict) -> None:
        """Count words that only one of the two runs has, and say so if that made it worse than the undisturbed one."""
        truth, reference, heard = (
            list(seen.plan.channels[0].words),
            self.heard.get(seen.plan.number, []),
            _heard(seen),
        )
        verdict.words += len(reference)
        if heard == reference or not reference:
            return
        compared = jiwer.process_words(" ".join(reference), " ".join(heard))
        verdict.lost += compared.deletions
        verdict.doubled += compared.insertions
        before, now = (jiwer.wer(" ".join(truth), " ".join(words)) for words in (reference, heard))
        if now > before + _WORSE:
            verdict.broken.append(
                f"{compared.deletions} words lost and {compared.insertions} too many; "
                f"{now:.1%} of the words are wrong, in an undisturbed run {before:.1%}"
            )


def _take(number: int) -> Spoken:
    first = number % (len(utterances()) - _UTTERANCES + 1)
    chosen = range(first, first + _UTTERANCES)
    begin = max(0, utterances()[chosen[0]][0] - int(_ROOM_S * SAMPLE_RATE_HZ))
    audio = recording()[begin : utterances()[chosen[-1]][1] + int(_ROOM_S / 2 * SAMPLE_RATE_HZ)]
    pcm = np.concatenate([audio, np.zeros(int(_AFTER_S * SAMPLE_RATE_HZ), dtype=np.int16)])
    words = [word for index in chosen for word in tokens(said()[index])]
    return Spoken(pcm.astype("<i2").tobytes(), tuple(words), ())


def _heard(seen: Seen) -> list[str]:
    return tokens(" ".join(final.text for _, final in seen.finals))
