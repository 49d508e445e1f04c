"""How much silence ends an utterance, by what was said before it.

People pause in mid-phrase to think, and hardly at all before they expect an answer. So silence after the end of a
sentence ends the utterance sooner than the session asked for, and silence in mid-phrase later. What cannot be told
leaves the session's own wait: too short a wait cuts a phrase in two, too long a one only costs its difference.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from bus.contract.client_protocol import EndpointMode

Ending: TypeAlias = Literal["sentence", "phrase", "unsure"]

_CLOSING = " \t\n\"'”’»›)]}」』）】〉》"
_SENTENCE_ENDS = frozenset("!?！？。｡．।॥؟۔።፧։။។")
_PHRASE_ENDS = frozenset(",;:-–—…，、；：،؛")
_TITLES = frozenset("mr mrs ms dr prof gen col sgt capt rev hon messrs mme mlle hr sra vs e.g i.e z.b d.h".split())
"""Before their full stop a phrase goes on."""
_ABBREVIATIONS = frozenset("etc inc ltd co corp jr sr st dept approx usw bzw".split())
"""Their full stop may end a sentence, or not."""
_ENGLISH_OPENERS = frozenset(
    "a an the and or but nor because if than that's i'm you're we're they're my your our their whose every".split()
)
"""Nobody ends a sentence with these, whatever stop the decoder puts after the last word it heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointOptions:
    """How far the wait may move from the session's own. The factors are of that wait."""

    mode: EndpointMode = "fixed"
    sentence_factor: float = 0.6
    phrase_factor: float = 1.6
    max_s: float = 5.0
    """Longest wait that a phrase may be given."""


def endpoint_wait_s(text: str, *, language: str | None, base_s: float, options: EndpointOptions) -> float:
    """Silence after `text` that ends the utterance. `language` is the one it is written in; "" is nothing known."""
    if options.mode == "fixed":
        return base_s
    match ending_of(text, language):
        case "sentence":
            return options.sentence_factor * base_s
        case "phrase":
            return max(base_s, min(options.max_s, options.phrase_factor * base_s))
        case _:
            return base_s


def ending_of(text: str, language: str | None) -> Ending:
    """Whether `text` ends where a sentence does, surely does not, or cannot be told."""
    text = text.rstrip(_CLOSING)
    if not text:
        return "unsure"
    last = text[-1]
    if last in _PHRASE_ENDS or text.endswith(".."):
        return "phrase"
    if last in _SENTENCE_ENDS:
        return "sentence"
    word = text.removesuffix(".").rpartition(" ")[2].lstrip("\"'“‘«([{").lower()
    if word in _TITLES or (language == "en" and word in _ENGLISH_OPENERS):
        return "phrase"
    if last == ".":
        return "unsure" if _may_be_short_for_more(word) else "sentence"
    # Where there are capitals there are full stops, and the decoder writes them; in other scripts it often does not.
    return "phrase" if last.isdigit() or last.lower() != last.upper() else "unsure"


def _may_be_short_for_more(word: str) -> bool:
    """An initial, a number as in an enumeration or with its fraction still to come, U.S., etc."""
    return len(word) <= 1 or word[-1].isdigit() or "." in word or word in _ABBREVIATIONS
