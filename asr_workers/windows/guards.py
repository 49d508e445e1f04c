"""Is this text what was said? Decides to accept, decode again, or drop it. Pure.

Short encoder contexts are cheap but sometimes loop, and Whisper writes small talk over noise. Three figures tell:
how many tokens the audio yielded, how well the text compresses, and how sure the model was, of the tokens and of
hearing speech at all. Only a final that fails is decoded again: with the full context, then with temperature. A partial
is replaced a moment later anyway.

A loop fills whatever it is given, but not all that fills it is a loop: Georgian and Bengali need 2 to 3 tokens for a
character and reach the ceiling in correct text. So text that was stopped at its ceiling is a loop only if it also
compresses like one. Otherwise it is merely *cut*: a final goes on to the full context, where the ceiling is the
decoder's own, and a partial shows the beginning of what was said.

Text that goes on after known text, of what was said before or shown already, is accepted only if nothing about it is in
doubt, and decoded alone otherwise: speech before makes noise look like speech. Over noise Whisper says the known text
once more, and is sure of it (103 of 104 cuts of noise behind a sentence; none of them when decoded alone).
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from bus.contract.work import WindowKind

Stage = Literal["after_known", "short_context", "full_context", "temperature"]
Verdict = Literal["accept", "alone", "full_context", "temperature", "no_speech", "repetition"]

_SHORTEST_REPEATED = 24
"""Characters of a text that can be told to repeat itself: "yes, yes, of course" is speech."""
_ZLIB_OVERHEAD_BYTES = len(zlib.compress(b""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """Thresholds. The defaults were chosen on speech and noise recordings with Whisper base."""

    max_tokens_per_s: float = 12.0
    """Where generating stops on a short context: it bounds what a loop costs. Fast speech in Latin script has 6."""
    spare_tokens: int = 12
    """Allowed on top, so that a short word with punctuation passes."""
    max_compression_ratio: float = 2.0
    """Characters over zlib bytes of the text: 300 windows of speech stay below 1.75, loops exceed 2 and soon 5. Of cut
    text, 95 loops in 6 languages exceed 2.1, and correct text in 19 scripts and languages stays below 1.5."""
    min_average_log_probability: float = -1.0
    surely_silent: float = 0.6
    """No-speech probability at which text of less than `doubtful_log_probability` is dropped, without a second try."""
    maybe_silent: float = 0.25
    """No-speech probability below which a text is never dropped as noise."""
    doubtful_log_probability: float = -0.5
    min_log_probability_after_known: float = -0.5
    silence_slope: float = 1.2
    """How much surer the tokens must be for each unit of no-speech probability. Of 600 cuts of noise recordings 23 gave
    text, and all but one of these texts fell under this line; of 300 windows of speech two did, both wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What one decode gave, in the figures that the guards look at."""

    stage: Stage
    tokens: int
    cut: bool
    """Stopped at the ceiling, not at the end of the text."""
    has_words: bool
    """False for punctuation alone."""
    compression_ratio: float
    average_log_probability: float
    no_speech_probability: float
    echoes: bool = False
    """Much of it is what was known before, or what it began with itself."""


def token_ceiling(duration_s: float, guards: Guards) -> int:
    """Tokens after which a decode on a short context is cut."""
    return guards.spare_tokens + int(guards.max_tokens_per_s * duration_s)


def compression_ratio(text: str, *, cut: bool = False) -> float:
    """How many times smaller zlib makes the text; 0 for an empty one.

    One byte for each character, whatever the script: in UTF-8 the characters of one script share their first bytes, and
    ordinary Hindi or Tamil compresses like a loop. The bytes that zlib adds to everything hide loops of few characters,
    so cut text is measured without them; a whole text keeps them, so that "no, no, no, no" remains speech.
    """
    data = bytes(ord(character) & 0xFF for character in text)
    overhead = _ZLIB_OVERHEAD_BYTES if cut else 0
    return len(data) / (len(zlib.compress(data)) - overhead) if data else 0.0


def has_words(text: str) -> bool:
    """Tell whether the text holds anything but punctuation and blanks."""
    return any(character.isalnum() for character in text)


def judge(attempt: Attempt, kind: WindowKind, guards: Guards) -> Verdict:
    """Say what to do with a decode, unless it was sampled.

    `alone`, `full_context` and `temperature` name what to try next.
    """
    if attempt.stage == "after_known":
        return "accept" if goes_on(attempt, guards) else "alone"
    if attempt.tokens == 0:
        return "accept"
    final = kind == "final"
    if is_repetitive(attempt, guards):
        return _next_stage(attempt) if final else "repetition"
    if not attempt.has_words:
        return "no_speech"
    if is_noise(attempt, guards):
        surely = attempt.no_speech_probability >= guards.surely_silent
        return "full_context" if final and not surely and attempt.stage == "short_context" else "no_speech"
    if final and attempt.average_log_probability < guards.min_average_log_probability:
        return _next_stage(attempt)
    if final and attempt.cut and attempt.stage == "short_context":
        return "full_context"
    return "accept"


def goes_on(attempt: Attempt, guards: Guards) -> bool:
    """Tell whether a decode after known text is beyond doubt; its compression is that of both texts."""
    sure = attempt.average_log_probability >= guards.min_log_probability_after_known
    sound = attempt.has_words and not attempt.cut and not attempt.echoes and not is_noise(attempt, guards)
    return sure and sound and not is_repetitive(attempt, guards)


def echoes(text: str, known: str) -> bool:
    """Tell whether half of a text or more stands in the text before it as it is. By character: scripts differ."""
    ours, theirs = ([character for character in one.casefold() if character.isalnum()] for one in (text, known))
    match = SequenceMatcher(a=theirs, b=ours, autojunk=False).find_longest_match()
    return 2 * match.size >= len(ours) > 0


def repeats_itself(text: str) -> bool:
    """Tell whether a text says much of its first half again: not a loop yet, but an echo of what it began with."""
    return len(text) >= _SHORTEST_REPEATED and echoes(text[len(text) // 2 :], text[: len(text) // 2])


def is_satisfying(attempt: Attempt, guards: Guards) -> bool:
    """Tell whether a sampled decode is good enough to stop sampling."""
    sure = attempt.average_log_probability >= guards.min_average_log_probability
    return sure and not is_repetitive(attempt, guards)


def settle(attempts: Sequence[Attempt], guards: Guards) -> tuple[int, Verdict]:
    """Choose among all decodes of a window whose first ones failed: an index, and what to do with it.

    The surest one that does not repeat itself; dropped all the same if it looks like noise. `attempts` is not empty.
    """
    sound = [index for index, attempt in enumerate(attempts) if not is_repetitive(attempt, guards)]
    if not sound:
        return len(attempts) - 1, "repetition"
    best = max(sound, key=lambda index: attempts[index].average_log_probability)
    dropped = not attempts[best].has_words or is_noise(attempts[best], guards)
    return best, "no_speech" if dropped else "accept"


def is_repetitive(attempt: Attempt, guards: Guards) -> bool:
    """Tell whether the decode ran into a loop."""
    return attempt.compression_ratio > guards.max_compression_ratio


def is_noise(attempt: Attempt, guards: Guards) -> bool:
    """Tell whether the decode is text written over noise: the likelier silence is, the surer the tokens must be."""
    silence = attempt.no_speech_probability
    if silence < guards.maybe_silent:
        return False
    allowance = guards.silence_slope * (guards.surely_silent - silence)
    return attempt.average_log_probability < guards.doubtful_log_probability - allowance


def _next_stage(attempt: Attempt) -> Literal["full_context", "temperature"]:
    return "full_context" if attempt.stage == "short_context" else "temperature"
