"""Finals of one session: from the (tentative) end of an utterance to its stored record. No word may be lost here.

Theory of operation. A job is `proposed` when silence begins (its decoding starts while the endpointer still waits),
`withdrawn` if speech resumes, `confirmed` when the endpoint fires. It is published until the broker has it, waits in
the queue for as long as that takes, and is published again as a new attempt if a worker took it and no answer came in
time. It is answered exactly once: later answers find no job or another window number. Confirmed and answered jobs are
stored one at a time, in order within their channel, each under an id that makes a repeated store harmless. Only a
stored job leaves, and only then is its text shown.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

from bus.contract.client_protocol import StageTimes
from bus.contract.errors import DecodeFailed
from bus.contract.records import Record, SegmentFailed, TranscriptFinal
from bus.contract.work import SAMPLE_RATE_HZ, AsrResult, Failure
from stream_gateway.session.audio_clock import AudioClock
from stream_gateway.session.config import SessionConfig
from stream_gateway.session.effects import Decode, Dropped, Effect, Emit, Store
from stream_gateway.session.events import Failed, Final
from stream_gateway.session.languages import SpokenLanguage
from stream_gateway.session.utterance import FinalWindow, Heard


class _Publish(Enum):
    DUE = auto()
    SENDING = auto()
    QUEUED = auto()
    TAKEN = auto()


@dataclass(slots=True)
class _Job:
    utterance: FinalWindow
    window: int
    proposed_at: float
    confirmed_at: float | None = None
    publish: _Publish = _Publish.DUE
    try_at: float = 0.0
    """DUE: when to publish. QUEUED: when it has expired in the broker. TAKEN: when the answer counts as missed."""
    attempt: int = 1
    misses: int = 0
    publish_failures: int = 0
    published_at: float | None = None
    """When the broker had the newest attempt."""
    result: AsrResult | None = None
    answered_at: float = 0.0
    failure: Failure | None = None
    store_at: float = 0.0
    store_failures: int = 0

    @property
    def is_answered(self) -> bool:
        return self.result is not None or self.failure is not None

    @property
    def is_ready(self) -> bool:
        return self.confirmed_at is not None and self.is_answered


class Finals:
    """Decides about final windows in wall time; `settle` is called after every change."""

    def __init__(
        self, *, config: SessionConfig, windows: Iterator[int], clock: AudioClock, language: SpokenLanguage
    ) -> None:
        self._config = config
        self._windows = windows
        self._clock = clock
        self._language = language
        self._jobs: dict[int, _Job] = {}
        self._storing: int | None = None

    def __len__(self) -> int:
        return len(self._jobs)

    def first_sample_owed(self, channel: int) -> int | None:
        """Start of the oldest utterance of `channel` that is not stored, or None."""
        return min((job.utterance.start_sample for job in self._of_channel(channel)), default=None)

    def heard(self, segment: int) -> Heard | None:
        """The answer to a proposal that still waits for its endpoint, if it has come."""
        job = self._jobs.get(segment)
        if job is None or job.confirmed_at is not None or job.result is None:
            return None
        written = "en" if self._config.task == "translate" else job.result.language
        return Heard(job.result.text, written, job.utterance.end_sample)

    def propose(self, utterance: FinalWindow, now: float) -> None:
        """Silence began: decode now, in the hope that it lasts."""
        self._jobs[utterance.segment] = _Job(utterance=utterance, window=next(self._windows), proposed_at=now)

    def withdraw(self, segment: int) -> list[Effect]:
        """Speech resumed: whatever comes of the proposal is stale."""
        return [Dropped("tentative", "speech_resumed")] if self._jobs.pop(segment, None) else []

    def confirm(self, utterance: FinalWindow, now: float) -> None:
        """The endpoint fired. A proposal that covers the same speech is taken over, decoded or not."""
        job = self._jobs.get(utterance.segment)
        if job is None or job.utterance.speech_end_sample != utterance.speech_end_sample:
            job = _Job(utterance=utterance, window=next(self._windows), proposed_at=now)
            self._jobs[utterance.segment] = job
        job.confirmed_at = now
        self._learn_language(job)

    def settle(self, now: float, *, workers_alive: bool) -> list[Effect]:
        """Publish what is due, notice what is missed, store what is ready."""
        effects: list[Effect] = []
        # Not over a list taken before: a job that fails here makes room for the next in line.
        for job in self._attended():
            if now >= job.try_at:
                effects += self._attend(job, now, workers_alive=workers_alive)
        return effects + self._store_next(now)

    def on_published(self, segment: int, window: int, now: float) -> None:
        """The broker has the window."""
        job = self._job(segment, window)
        if job is not None and job.publish is _Publish.SENDING:
            job.publish = _Publish.QUEUED
            job.publish_failures = 0
            job.published_at = now
            job.try_at = now + self._config.retry.max_queued_s

    def on_taken(self, segment: int, window: int, now: float) -> None:
        """A worker has the window; its answer is due within the retry deadline."""
        job = self._job(segment, window)
        if job is not None and job.publish is _Publish.QUEUED:
            job.publish = _Publish.TAKEN
            job.try_at = now + self._config.retry.deadline_s

    def on_publish_failed(self, segment: int, window: int, now: float) -> list[Effect]:
        """The broker may or may not have it: publish again under the same id, after a back-off."""
        job = self._job(segment, window)
        if job is None or job.publish is not _Publish.SENDING:
            return []
        job.publish = _Publish.DUE
        job.try_at = now + self._backoff_s(job.publish_failures)
        job.publish_failures += 1
        return [Dropped("final_publish", "failed")]

    def on_result(self, result: AsrResult, now: float) -> list[Effect]:
        """Take the first answer to a job; count any other."""
        job = self._job(result.segment, result.window)
        if job is None or job.is_answered:
            return [Dropped("final_result", "stale")]
        job.answered_at = now
        if result.failure is not None:
            job.failure = result.failure
            return []
        job.result = result
        if job.published_at is not None:
            self._config.pool.lag.on_final(max(0.0, now - job.published_at - _work_s(result)), now)
        self._learn_language(job)
        return []

    def on_stored(self, segment: int, now: float) -> list[Effect]:
        """The record is durable: show it."""
        self._storing = None
        job = self._jobs.pop(segment)
        return [Emit(self._event(job, now))]

    def on_store_failed(self, segment: int, now: float) -> None:
        """Not known to be stored: store again under the same id, after a back-off, for as long as it takes."""
        self._storing = None
        job = self._jobs[segment]
        job.store_at = now + self._backoff_s(job.store_failures)
        job.store_failures += 1

    def on_bus_back(self, now: float) -> None:
        """The broker may have restarted empty: publish unanswered work again, and store at once."""
        for job in self._jobs.values():
            if job.publish in (_Publish.QUEUED, _Publish.TAKEN):
                self._publish_anew(job)
            job.try_at = min(job.try_at, now) if job.publish is _Publish.DUE else job.try_at
            job.store_at = now

    def deadline(self) -> float | None:
        """When `settle` has something to do by itself."""
        times = [job.try_at for job in self._attended() if job.publish is not _Publish.SENDING]
        if self._storing is None:
            times += [job.store_at for job in self._heads() if job.is_ready]
        return min(times, default=None)

    def _attended(self) -> Iterator[_Job]:
        """Unanswered jobs that may be with the broker; the rest of a burst waits its turn here."""
        room = self._config.retry.max_in_broker
        for job in self._jobs.values():
            if room and not job.is_answered:
                yield job
                room -= not job.is_answered

    def _attend(self, job: _Job, now: float, *, workers_alive: bool) -> list[Effect]:
        effects: list[Effect] = []
        if job.publish is _Publish.QUEUED:
            self._publish_anew(job)
            effects.append(Dropped("final_queue", "expired"))
        elif job.publish is _Publish.TAKEN:
            effects += self._miss(job, now, workers_alive=workers_alive)
        if job.publish is _Publish.DUE and job.failure is None:
            job.publish = _Publish.SENDING
            effects.append(self._decode(job))
        return effects

    def _job(self, segment: int, window: int) -> _Job | None:
        job = self._jobs.get(segment)
        return job if job is not None and job.window == window else None

    def _of_channel(self, channel: int) -> Iterator[_Job]:
        return (job for job in self._jobs.values() if job.utterance.channel == channel)

    def _heads(self) -> list[_Job]:
        """The oldest job of each channel: the only ones whose turn to be stored can have come."""
        heads: dict[int, _Job] = {}
        for job in self._jobs.values():
            heads.setdefault(job.utterance.channel, job)
        return list(heads.values())

    def _backoff_s(self, failures: int) -> float:
        retry = self._config.retry
        return float(min(retry.max_backoff_s, retry.backoff_s * 2 ** min(failures, 10)))

    def _miss(self, job: _Job, now: float, *, workers_alive: bool) -> list[Effect]:
        if not workers_alive:
            # Nobody could have answered; the broker hands the window to the next worker that comes.
            job.try_at = now + self._config.retry.deadline_s
            return []
        job.misses += 1
        self._config.pool.lag.on_final(self._config.retry.deadline_s, now)
        if job.misses >= self._config.retry.max_misses:
            job.failure = Failure(DecodeFailed.code, f"no result after {job.misses} attempts")
            job.answered_at = now
        else:
            self._publish_anew(job)
        return [Dropped("final_deadline", "missed")]

    def _publish_anew(self, job: _Job) -> None:
        """Under a new id: the broker remembers those of work that was taken, and would swallow the old one."""
        job.publish = _Publish.DUE
        job.attempt += 1

    def _learn_language(self, job: _Job) -> None:
        """Of speech that ended only: a pause that was none may hold half a word."""
        if job.confirmed_at is not None and job.result is not None:
            self._language.on_final(job.result.language, job.result.language_probability, job.result.text)

    def _decode(self, job: _Job) -> Decode:
        return Decode(
            kind="final",
            segment=job.utterance.segment,
            channel=job.utterance.channel,
            window=job.window,
            attempt=job.attempt,
            start_sample=job.utterance.start_sample,
            end_sample=job.utterance.end_sample,
            language=self._language.current,
            word_times=self._config.word_times,
        )

    def _store_next(self, now: float) -> list[Effect]:
        if self._storing is not None:
            return []
        ready = [job for job in self._heads() if job.is_ready and now >= job.store_at]
        if not ready:
            return []
        first = min(ready, key=lambda job: job.answered_at)
        self._storing = first.utterance.segment
        return [Store(self._record(first))]

    def _record(self, job: _Job) -> Record:
        utterance, result, config = job.utterance, job.result, self._config
        start_s = utterance.speech_start_sample / SAMPLE_RATE_HZ
        end_s = utterance.speech_end_sample / SAMPLE_RATE_HZ
        if result is None:
            assert job.failure is not None
            return SegmentFailed(
                tenant=config.tenant,
                session=config.session,
                segment=utterance.segment,
                channel=utterance.channel,
                start_s=start_s,
                end_s=end_s,
                code=job.failure.code,
                message=job.failure.message,
            )
        return TranscriptFinal(
            tenant=config.tenant,
            session=config.session,
            segment=utterance.segment,
            channel=utterance.channel,
            start_s=start_s,
            end_s=end_s,
            text=result.text,
            language=result.language,
            task=config.task,
            model=result.model,
            words=result.words if config.word_times else (),
        )

    def _event(self, job: _Job, now: float) -> Final | Failed:
        match self._record(job):
            case SegmentFailed() as failed:
                return Failed(failed.segment, failed.channel, failed.start_s, failed.end_s, failed.code, failed.message)
            case TranscriptFinal() as final:
                return Final(
                    segment=final.segment,
                    channel=final.channel,
                    start_s=final.start_s,
                    end_s=final.end_s,
                    text=final.text,
                    words=final.words,
                    language=final.language,
                    model=final.model,
                    times=self._times(job, now),
                )
            case unknown:
                assert_never(unknown)

    def _times(self, job: _Job, now: float) -> StageTimes:
        assert job.result is not None and job.confirmed_at is not None
        worker = job.result.timings
        spoken_at = self._clock.received_at(job.utterance.speech_end_sample)
        return StageTimes(
            endpoint_s=max(0.0, job.confirmed_at - spoken_at),
            queue_s=worker.queue_s if worker else 0.0,
            batch_wait_s=worker.batch_wait_s if worker else 0.0,
            encode_s=worker.encode_s if worker else 0.0,
            decode_s=worker.decode_s if worker else 0.0,
            publish_s=max(0.0, now - max(job.answered_at, job.confirmed_at)),
            total_s=max(0.0, now - spoken_at),
        )


def _work_s(result: AsrResult) -> float:
    worker = result.timings
    return worker.features_s + worker.encode_s + worker.decode_s if worker else 0.0
