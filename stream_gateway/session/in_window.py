"""Where the words of an answer may lie: within the window that was asked about. Pure."""

import msgspec

from bus.contract.work import SAMPLE_RATE_HZ, AsrResult, Word

_SLACK_S = 0.01
"""Times are rounded on their way."""


def in_window(result: AsrResult, start_sample: int, end_sample: int) -> AsrResult:
    """The result with words that a broken worker places outside of its window moved to the edge; else as it is."""
    start_s, end_s = start_sample / SAMPLE_RATE_HZ, end_sample / SAMPLE_RATE_HZ
    if all(start_s - _SLACK_S <= word.start_s and word.end_s <= end_s + _SLACK_S for word in result.words):
        return result

    def inside(at_s: float) -> float:
        return min(max(at_s, start_s), end_s)

    words = (Word(word.text, inside(word.start_s), inside(word.end_s), word.probability) for word in result.words)
    return msgspec.structs.replace(result, words=tuple(words))
