"""Which requests a worker takes."""

from typing import Any

import pytest

from llm_workers.cancelled import AnswerKey, Cancelled
from llm_workers.taking import Ignore, Refuse, Take, Verdict, judge
from tests.unit.llm_workers.requests import request


def judged(*, cancelled: int = 0, **fields: Any) -> Verdict:
    """Of a second attempt; `cancelled` are the attempts up to that number."""
    cancels = Cancelled()
    cancels.add(AnswerKey("s1", 1), upto_attempt=cancelled)
    usual: dict[str, Any] = {"running": (), "models": ("m",), "is_leaving": False, "has_slot": True}
    return judge(request(attempt=2), cancelled=cancels, **(usual | fields))


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({}, Take()),
        ({"models": ("base", "m")}, Take()),
        ({"running": (1,)}, Take()),
        ({"running": (2,)}, Ignore("duplicate")),
        ({"running": (1, 3)}, Ignore("duplicate")),
        ({"cancelled": 1}, Take()),
        ({"cancelled": 2, "is_leaving": True}, Ignore("cancelled")),
        ({"is_leaving": True, "has_slot": False}, Refuse("leaving")),
        ({"has_slot": False, "models": ()}, Refuse("no_slot")),
        ({"models": ("base",)}, Refuse("other_model")),
    ],
)
def test_a_request_is_taken_unless_nobody_waits_or_another_worker_is_better(
    fields: dict[str, Any], verdict: Verdict
) -> None:
    assert judged(**fields) == verdict
