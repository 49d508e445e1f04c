"""From what an engine made of a window to what the gateway is told. Pure."""

from typing import Literal

from asr_workers.engines.base import Decoded, Window
from bus.contract.errors import DecodeFailed
from bus.contract.work import SUPERSEDED, AsrRequest, AsrResult, Failure, OtherVersion, Timings, WindowKind

OVERTAKEN = Failure(code=SUPERSEDED, message="a newer window covers its audio")
"""Of a partial."""
_UNSUSPECTED_DELIVERIES = 2
"""Of four: two are left for it to be decoded alone, or to be found guilty."""

_RETRY_FACTOR = 4.0

FailureAction = Literal["retry", "give_up"]


def window_of(request: AsrRequest) -> Window:
    """The engine's view of a request."""
    return Window(
        kind=request.kind,
        pcm=request.pcm,
        start_sample=request.start_sample,
        language=request.language,
        task=request.task,
        prompt=request.prompt,
        hotwords=request.hotwords,
        word_times=request.word_times,
        prior_samples=request.prior_samples,
        prior_text=request.prior_text,
        draft=request.draft,
        draft_end_sample=request.draft_end_sample,
        hurried=request.hurried,
    )


def decoded_result(request: AsrRequest, decoded: Decoded, *, timings: Timings, model: str, worker: str) -> AsrResult:
    """The answer to a window that was decoded, with or without text."""
    return AsrResult(
        session=request.session,
        segment=request.segment,
        window=request.window,
        kind=request.kind,
        text=decoded.text,
        words=decoded.words,
        language=decoded.language,
        language_probability=decoded.language_probability,
        no_speech_probability=decoded.no_speech_probability,
        average_log_probability=decoded.average_log_probability,
        fallback=decoded.fallback,
        suppressed=decoded.suppressed,
        model=model,
        worker=worker,
        timings=timings,
    )


def failed_result(request: AsrRequest, failure: Failure, *, model: str, worker: str) -> AsrResult:
    """The answer to a window that has no text."""
    return AsrResult(
        session=request.session,
        segment=request.segment,
        window=request.window,
        kind=request.kind,
        model=model,
        worker=worker,
        failure=failure,
    )


def failure_of(error: BaseException) -> Failure:
    """Why a window could not be decoded. Of the error only its class: its text may quote the user."""
    return Failure(code=DecodeFailed.code, message=type(error).__name__)


def on_failure(kind: WindowKind, *, deliveries: int, max_deliver: int, permanent: bool) -> FailureAction:
    """Say whether a failed window goes back to the broker. Partials never do: the next one is on its way."""
    if kind == "partial" or permanent or deliveries >= max_deliver:
        return "give_up"
    return "retry"


def retry_delay_s(first_s: float, *, deliveries: int) -> float:
    """How long a final that failed here stays with the broker: each time longer.

    A worker that can decode nothing is idle, and would be given it again and again, while those that can are busy.
    """
    return first_s * _RETRY_FACTOR ** (deliveries - 1)


def on_unreadable(error: ValueError, *, deliveries: int, max_deliver: int) -> FailureAction:
    """Say whether a request that this worker cannot read goes back to the broker.

    One of another version does: while an upgrade rolls, a worker of that version may be there.
    """
    return "retry" if isinstance(error, OtherVersion) and deliveries < max_deliver else "give_up"


def on_duplicate(*, deliveries: int, max_deliver: int) -> FailureAction:
    """Say whether the second request for a final that this worker holds goes back to the broker, for another worker.

    Not so often that the broker gives it up, which would count as a failure of the final: the first one is enough.
    """
    return "retry" if deliveries < max_deliver - 1 else "give_up"


def is_suspect(kind: WindowKind, *, deliveries: int) -> bool:
    """Tell whether a window may have ended other workers: it runs with no other final at risk beside it.

    Once is no reason to suspect it: a worker that leaves hands back what it has, and most that die are killed.
    """
    return kind == "final" and deliveries > _UNSUSPECTED_DELIVERIES
