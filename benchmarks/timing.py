"""From the events of a session to figures per utterance: how late its words came, how often they changed. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Self

from benchmarks.playback import Played
from benchmarks.recordings import Recording, Spoken
from benchmarks.scoring import tokens
from bus.contract.client_protocol import TranscriptFinal

_MIN_OVERLAP_S = 0.15
"""The service pads an utterance with audio that may touch its neighbour; that is not hearing the neighbour."""
_SLACK_S = 0.35
"""How far from the true end of speech a word may be placed and still be its last one; pauses are twice as long."""
_SHIFT = 1
"""A word counts as seen if a partial has it at its place, give or take a word that was heard as one or two."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One utterance as the client saw it, in seconds of wall time; None where its words never came."""

    first_partial_s: float | None
    """True start of speech until any text of it was shown."""
    sight_s: float | None
    """True end of speech until its last word was first shown. Negative if it was shown while being spoken."""
    settled_s: float | None
    """True end of speech until its last word was shown and never changed again."""
    final_s: float | None
    """True end of speech until its final came."""
    parts: int
    """Finals that it was cut into: 1 is right, 0 is lost."""
    excusable: bool
    """It pauses long enough inside to be cut rightly."""


def heard(recording: Recording, played: Played, *, endpoint_s: float = 0.5) -> list[Heard]:
    """One row per utterance of the manifest; an utterance that pauses for `endpoint_s` inside may be cut."""
    return [_heard(spoken, played, recording.language, endpoint_s) for spoken in recording.utterances]


def merged(recording: Recording, played: Played) -> int:
    """How many finals hold words of more than one utterance."""
    return sum(1 for _, final in played.finals if sum(_covers(final, one) for one in recording.utterances) > 1)


def _covers(final: TranscriptFinal, spoken: Spoken) -> bool:
    overlap_s = min(final.end_s, spoken.end_s) - max(final.start_s, spoken.start_s)
    return bool(final.text) and overlap_s >= min(_MIN_OVERLAP_S, (spoken.end_s - spoken.start_s) / 2)


def _heard(spoken: Spoken, played: Played, language: str, endpoint_s: float) -> Heard:
    finals = [(at, final) for at, final in played.finals if _covers(final, spoken)]
    excusable = spoken.longest_pause_s >= endpoint_s
    if not finals:
        return Heard(None, None, None, None, 0, excusable)
    segments = {final.segment for _, final in finals}
    partials = [(at, one) for at, one in played.partials if one.segment in segments and one.end_s > spoken.start_s]
    first_at = min([at for at, one in partials if one.text] + [at for at, _ in finals])

    final_at, last = max(finals, key=lambda pair: pair[1].end_s)
    upto = [word.text for word in last.words if (word.start_s + word.end_s) / 2 < spoken.end_s + _SLACK_S]
    goal = tokens(" ".join(upto) or last.text, language)
    shown = [(at, _shows(goal, tokens(one.text, language))) for at, one in partials if one.segment == last.segment]
    return Heard(
        first_partial_s=first_at - spoken.start_s,
        sight_s=min([at for at, has_it in shown if has_it], default=final_at) - spoken.end_s,
        settled_s=_settled_at(shown, final_at) - spoken.end_s,
        final_s=final_at - spoken.end_s,
        parts=len(finals),
        excusable=excusable,
    )


def _shows(goal: Sequence[str], seen: Sequence[str]) -> bool:
    """Whether `seen` has the last word of `goal` at its place."""
    return bool(goal) and goal[-1] in seen[max(0, len(goal) - 1 - _SHIFT) : len(goal) + _SHIFT]


def _settled_at(shown: Sequence[tuple[float, bool]], final_at: float) -> float:
    settled_at = final_at
    for at, has_it in reversed(shown):
        if not has_it:
            break
        settled_at = at
    return settled_at


@dataclass(frozen=True, slots=True)
class Revisions:
    """Words that came and went. Sums up with `+`."""

    shown: int = 0
    """Words that partials brought, each counted again when it came back changed."""
    changed: int = 0
    """Of them, those that a later partial or the final changed or dropped."""
    stable: int = 0
    """Words that were shown as stable."""
    stable_changed: int = 0
    """Of them, those that the final changed or dropped."""

    def __add__(self, other: Self) -> "Revisions":
        return Revisions(
            self.shown + other.shown,
            self.changed + other.changed,
            self.stable + other.stable,
            self.stable_changed + other.stable_changed,
        )


def revisions(played: Played, language: str = "en") -> Revisions:
    """Count over all segments of a session that have a final."""
    count = Revisions()
    for _, final in played.finals:
        partials = [one for _, one in played.partials if one.segment == final.segment]
        before: list[str] = []
        for text in [one.text for one in partials]:
            now = tokens(text, language)
            kept = _kept(before, now)
            count += Revisions(shown=len(now) - kept, changed=len(before) - kept)
            before = now
        end = tokens(final.text, language)
        stable = tokens(partials[-1].stable, language) if partials else []
        count += Revisions(
            changed=len(before) - _kept(before, end),
            stable=len(stable),
            stable_changed=len(stable) - _kept(stable, end),
        )
    return count


def _kept(before: Sequence[str], after: Sequence[str]) -> int:
    matcher = SequenceMatcher(a=before, b=after, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks())
