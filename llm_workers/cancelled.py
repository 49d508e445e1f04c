"""Answers that nobody waits for any more. Pure.

A cancel goes to every worker of a pool, and any of them may be the one that gets the request, before or after; so each
remembers what was cancelled. The oldest is forgotten first: by then its request has long come and gone.
"""

from typing import NamedTuple

_MAX_REMEMBERED = 4096


class AnswerKey(NamedTuple):
    """What makes an answer one: all its attempts share it."""

    session: str
    answer: int


class Cancelled:
    """A bounded memory of cancels."""

    def __init__(self, max_remembered: int = _MAX_REMEMBERED) -> None:
        self._max_remembered = max_remembered
        self._upto_attempt: dict[AnswerKey, int] = {}

    def add(self, key: AnswerKey, *, upto_attempt: int) -> None:
        """Remember a cancel. Idempotent; of several for one answer the one that means most attempts counts."""
        known = self._upto_attempt.pop(key, 0)
        self._upto_attempt[key] = max(known, upto_attempt)
        if len(self._upto_attempt) > self._max_remembered:
            del self._upto_attempt[next(iter(self._upto_attempt))]

    def covers(self, key: AnswerKey, attempt: int) -> bool:
        """Whether nobody waits for this attempt."""
        return attempt <= self._upto_attempt.get(key, 0)
