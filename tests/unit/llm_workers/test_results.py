from bus.contract.chat_work import ChatDelta, ChatDone, ChatFailed, ChatTaken, ChatTimings, ChatUsage
from llm_workers import results
from llm_workers.budget import Fitted
from llm_workers.deltas import Gathered
from llm_workers.engines.base import Finished
from tests.unit.llm_workers.requests import request, said

ASKED = request(session="s7", answer=3, attempt=2, prefill="So", max_tokens=50, temperature=0.5)
TIMINGS = ChatTimings(queue_s=0.1, prefill_s=0.2, emit_s=0.3, generate_s=0.4)


def test_the_engine_gets_what_fits_of_the_conversation() -> None:
    prompt = results.prompt_of(ASKED, Fitted((said("user", "hi"),), 20))
    assert (prompt.session, prompt.messages, prompt.prefill) == ("s7", (said("user", "hi"),), "So")
    assert (prompt.max_tokens, prompt.temperature) == (20, 0.5)


def test_every_reply_names_the_attempt_that_it_belongs_to() -> None:
    finished = Finished(reason="length", prompt_tokens=9, completion_tokens=4, cached_tokens=2)
    assert results.taken(ASKED, worker="w1", model="m") == ChatTaken(
        session="s7", answer=3, attempt=2, worker="w1", model="m"
    )
    assert results.delta(ASKED, Gathered("x", 2), seq=5) == ChatDelta(
        session="s7", answer=3, attempt=2, seq=5, text="x", tokens=2
    )
    assert results.done(ASKED, finished, deltas=5, timings=TIMINGS, worker="w1", model="m") == ChatDone(
        session="s7",
        answer=3,
        attempt=2,
        deltas=5,
        finish_reason="length",
        usage=ChatUsage(prompt_tokens=9, completion_tokens=4, cached_tokens=2),
        timings=TIMINGS,
        model="m",
        worker="w1",
    )
    assert results.failed(ASKED, results.NO_SLOT, worker="w1") == ChatFailed(
        session="s7",
        answer=3,
        attempt=2,
        code="busy",
        message="this worker has no free slot",
        retryable=True,
        worker="w1",
    )


def test_a_request_that_is_refused_is_told_why() -> None:
    assert results.refusal("other_model", served="m") == ("unknown_model", "this worker serves m", False)
    assert results.refusal("no_slot", served="m") == results.NO_SLOT
    assert results.refusal("leaving", served="m") == results.DRAINING


def test_an_engine_says_whether_to_try_again() -> None:
    assert results.broke_off("no server", retryable=True) == ("chat_failed", "no server", True)
    assert results.broke_off("no room", retryable=False) == ("chat_failed", "no room", False)
