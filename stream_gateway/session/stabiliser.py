"""Which words of a running utterance may be shown as stable.

Local agreement (Macháček et al. 2023, "Turning Whisper into Real-Time Transcription System"): a word is agreed once
two successive hypotheses have it at the same place. On top of it, the newest word of a hypothesis is held back: it may
be cut by the end of the window; and so is a word that the decoder is not sure of, with all that follow it. Agreed words
never change, so the stable text only grows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bus.contract.work import Word

_UNSPACED_LANGUAGES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
_SAME_PLACE_S = 0.5
"""A word that two decodes of the same audio place further apart is not the same word."""
_LEAST_PROBABILITY = 0.6
"""Of a word that may be agreed: below it, finals change more than one in ten (docs/performance.md)."""
_COMPARED_WORDS = 6
_CONTEXT_WORDS = 3
"""A trimmed window begins this many agreed words back, so that the decoder hears a phrase and not half a word."""


@dataclass(frozen=True, slots=True)
class RunningText:
    """`text` begins with `stable`."""

    stable: str
    text: str


class Stabiliser:
    """Local agreement over the hypotheses of one utterance, in session audio time."""

    def __init__(self, *, trim_after_s: float = 7.0) -> None:
        self._trim_after_s = trim_after_s
        self._agreed: list[Word] = []
        self._stable = ""
        self._language: str | None = None
        self._tail: Sequence[Word] = ()

    @property
    def agreed(self) -> tuple[Word, ...]:
        """The words that will not change."""
        return tuple(self._agreed)

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of the running text."""
        return (*self._agreed, *self._tail)

    def window_start_s(self, utterance_start_s: float, end_s: float) -> float:
        """Where the next window should begin: its cost must not grow with the utterance."""
        if end_s - utterance_start_s <= self._trim_after_s or not self._agreed:
            return utterance_start_s
        context = self._agreed[-_CONTEXT_WORDS:]
        return max(utterance_start_s, context[0].start_s)

    def stable_until(self, end_s: float) -> tuple[str, float]:
        """The stable text of the words that end by then, and where the last of them ends (0 without words)."""
        words = [word for word in self._agreed if word.end_s <= end_s]
        text = self._stable if len(words) == len(self._agreed) else _extend("", words, self._language)
        return text, words[-1].end_s if words else 0.0

    def on_hypothesis(self, words: Sequence[Word], *, language: str | None, agree: bool = True) -> RunningText:
        """Take the words of the newest window (any start), written in `language`, and return what to show.

        Without `agree` the stable text stays as it is.
        """
        self._language = language
        tail = self._after_agreed(words)
        agreed = min(_common_prefix(self._tail, tail), max(0, len(tail) - 1)) if agree else 0
        agreed = next((index for index in range(agreed) if tail[index].probability < _LEAST_PROBABILITY), agreed)
        self._agreed.extend(tail[:agreed])
        self._tail = tail[agreed:]
        # Grown, not joined anew: the language may be detected differently from one hypothesis to the next.
        self._stable = _extend(self._stable, tail[:agreed], language)
        return RunningText(stable=self._stable, text=_extend(self._stable, self._tail, language))

    def _after_agreed(self, words: Sequence[Word]) -> Sequence[Word]:
        """The part of a hypothesis that follows the agreed words."""
        if not self._agreed:
            return words
        newest = self._agreed[-1]
        heads = [words[: index + 1] for index, word in enumerate(words) if _apart_s(word, newest) < _SAME_PLACE_S]
        head = min(heads, key=self._misfit_s, default=())
        if head and self._misfit_s(head) < _SAME_PLACE_S:
            return words[len(head) :]
        if _common_prefix(self._agreed, words) == len(self._agreed):
            return words[len(self._agreed) :]
        # Heard differently this time: only the clock can tell.
        return [word for word in words if (word.start_s + word.end_s) / 2 > newest.end_s]

    def _misfit_s(self, head: Sequence[Word]) -> float:
        """How badly the end of `head` fits the end of the agreed words: mean distance of the words, in seconds.

        Place and sound decide together: by sound alone a word that was said twice is lost, by place alone a word that
        is heard a little later this time is doubled.
        """
        pairs = list(zip(reversed(self._agreed), reversed(head), strict=False))[:_COMPARED_WORDS]
        return sum(_distance_s(one, other) for one, other in pairs) / len(pairs)


def _distance_s(one: Word, other: Word) -> float:
    if _sound(one.text) != _sound(other.text):
        return _SAME_PLACE_S
    return min(_SAME_PLACE_S, _apart_s(one, other))


def _apart_s(one: Word, other: Word) -> float:
    return abs(one.start_s + one.end_s - other.start_s - other.end_s) / 2


def _extend(text: str, words: Sequence[Word], language: str | None) -> str:
    """Join words as the language writes them: with blanks, or without."""
    blank = "" if language in _UNSPACED_LANGUAGES else " "
    spelled = [word.text for word in words]
    return blank.join([text, *spelled] if text else spelled)


def _common_prefix(left: Sequence[Word], right: Sequence[Word]) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if _sound(one.text) != _sound(other.text):
            break
        count += 1
    return count


def _sound(text: str) -> str:
    """A word without what two decodes may spell differently: case and punctuation."""
    bare = "".join(char for char in text.casefold() if char.isalnum())
    return bare or text
