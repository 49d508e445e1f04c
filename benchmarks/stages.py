"""What a final waits for besides the end of speech and its decode, stage by stage. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil

from benchmarks.playback import CHUNK_S, Played
from bus.contract.client_protocol import StageTimes
from bus.contract.work import AsrResult, Timings

_CLOCKS_APART_S = 0.02
"""How much earlier than the endpoint a request must be seen to count as tentative; those that are come 0.3 s before."""


@dataclass(slots=True)
class Passing:
    """When the messages about one segment passed the broker, on the clock of who listens there."""

    asked_at: dict[int, float] = field(default_factory=dict)
    """By window: a segment whose speaker resumed has several."""
    answers: dict[int, tuple[float, Timings]] = field(default_factory=dict)

    def on_request(self, window: int, at: float) -> None:
        """Take the first attempt of a window."""
        self.asked_at.setdefault(window, at)

    def on_result(self, result: AsrResult, at: float) -> None:
        """Take the first answer to a window; failures are none."""
        if result.timings is not None:
            self.answers.setdefault(result.window, (at, result.timings))


@dataclass(frozen=True, slots=True)
class Stages:
    """Seconds of one final.

    The first four are what its client waits for: all of it after the endpoint fired, and without what the model took.
    The others are the way of its window to a worker and back, which the endpoint's wait covers if the final is
    tentative.
    """

    answer_s: float
    """Until the answer was there, less features, encoder and decoder as far as they were waited for; 0 if it was."""
    store_s: float
    """Until the record was durable."""
    socket_s: float
    """On the sockets, in and out, from the moment at which the client sends the last of the speech."""
    overhead_s: float
    """Sum of the three."""
    is_tentative: bool
    """Its window was with the broker before the endpoint fired."""
    queue_s: float
    """In the broker."""
    features_s: float
    batch_wait_s: float
    """In the worker, until its batch began, without features."""
    worker_s: float
    """What remains between request and answer: the worker's threads, its publish, the broker."""
    gateway_s: float
    """What remains of a wait for the whole way: the gateway's publish of the request, its taking of the answer."""
    model_s: float
    """Encoder and decoder."""


def stages(played: Played, passings: Mapping[tuple[str, int], Passing]) -> Iterator[Stages]:
    """Those of each final whose messages were seen. `passings` are by session and segment, and on `began_at`'s clock.

    The recording must have been played in real time.
    """
    for at, final in played.finals:
        passing = passings.get((played.session, final.segment))
        if passing is not None and passing.answers:
            sent_s = played.sent_at[ceil(round(final.end_s / CHUNK_S, 6)) - 1]
            yield _stages(at, sent_s, final.times, passing, played.began_at)


def _stages(at: float, sent_s: float, times: StageTimes, passing: Passing, began_at: float) -> Stages:
    window = max(passing.answers)  # a speech that resumed and ended again has a newer one
    answered_at, worker = passing.answers[window]
    asked_at = passing.asked_at.get(window, answered_at)
    fired_at = began_at + sent_s + times.endpoint_s
    waited_s = max(0.0, times.total_s - times.endpoint_s - times.publish_s)
    model_s = worker.encode_s + worker.decode_s
    answer_s = max(0.0, waited_s - model_s - worker.features_s)
    socket_s = max(0.0, at - sent_s - times.total_s)
    is_tentative = asked_at < fired_at - _CLOCKS_APART_S
    batch_wait_s = max(0.0, worker.batch_wait_s - worker.features_s)
    worker_s = max(0.0, answered_at - asked_at - worker.queue_s - worker.batch_wait_s - model_s)
    gateway_s = 0.0 if is_tentative else max(0.0, answer_s - worker.queue_s - batch_wait_s - worker_s)
    return Stages(
        answer_s=answer_s,
        store_s=times.publish_s,
        socket_s=socket_s,
        overhead_s=answer_s + times.publish_s + socket_s,
        is_tentative=is_tentative,
        queue_s=worker.queue_s,
        features_s=worker.features_s,
        batch_wait_s=batch_wait_s,
        worker_s=worker_s,
        gateway_s=gateway_s,
        model_s=model_s,
    )
