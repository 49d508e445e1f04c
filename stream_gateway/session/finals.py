"""Finals of one session: from the (tentative) end of an utterance to its stored record. No word may be lost here.

Theory of operation. A job is `proposed` when silence begins (its decoding starts while the endpointer still waits),
`withdrawn` if speech resumes, `confirmed` when the endpoint fires. It is published until the broker has it, waits in
the queue for as long as that takes, and is published again as a new attempt if a worker took it and no answer came in
time, or acknowledged it without one, or if one worker alone could not decode it. If a worker has it for longer than
is usual, or none says that it has it, it is hedged: once, another attempt is published beside the first, for another
worker to be faster. It is answered exactly once: later answers find no job, another window number or a job that has
its answer; whoever may still work on it is told by a cancel. Confirmed and answered jobs are stored one at a time, in
order within their channel, each under an id that makes a repeated store harmless. Only a stored job leaves, and only
then is its text shown.
"""

from collections import defaultdict
from collections.abc import Iterator

from bus.contract.errors import DecodeFailed
from bus.contract.work import AsrResult, Failure
from stream_gateway.session.audio_clock import AudioClock
from stream_gateway.session.config import SessionConfig
from stream_gateway.session.effects import Cancel, CancelReason, Decode, Dropped, Effect, Emit, Store
from stream_gateway.session.final_job import FinalJob, Publish
from stream_gateway.session.final_record import event_of, record_of, work_s
from stream_gateway.session.in_window import in_window
from stream_gateway.session.languages import SpokenLanguage
from stream_gateway.session.said import Said
from stream_gateway.session.utterance import FinalWindow, Heard


class Finals:
    """Decides about final windows in wall time; `settle` is called after every change."""

    def __init__(
        self, *, config: SessionConfig, windows: Iterator[int], clock: AudioClock, language: SpokenLanguage
    ) -> None:
        self._config = config
        self._windows = windows
        self._clock = clock
        self._language = language
        self._jobs: dict[int, FinalJob] = {}
        self._storing: int | None = None
        self._awaited = False
        self._said: dict[int, Said] = defaultdict(Said)

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def first_segment_owed(self) -> int | None:
        """The oldest utterance that is not stored, or None."""
        return min(self._jobs, default=None)

    def first_sample_owed(self, channel: int) -> int | None:
        """Start of the oldest utterance of `channel` that is not stored, or None."""
        return min((job.utterance.start_sample for job in self._of_channel(channel)), default=None)

    def keep_from(self, channel: int, settled_sample: int, next_sample: int) -> int:
        """The sample of `channel` from which on audio may be asked for; see `Said.keep_from`."""
        return self._said[channel].keep_from(settled_sample, next_sample)

    def heard(self, segment: int) -> Heard | None:
        """The answer to a proposal that still waits for its endpoint, if it has come."""
        job = self._jobs.get(segment)
        if job is None or job.confirmed_at is not None or job.result is None:
            return None
        written = "en" if self._config.task == "translate" else job.result.language
        return Heard(job.result.text, written, job.utterance.end_sample)

    def propose(self, utterance: FinalWindow, now: float) -> None:
        """Silence began: decode now, in the hope that it lasts."""
        self._jobs[utterance.segment] = FinalJob(utterance=utterance, window=next(self._windows), proposed_at=now)

    def withdraw(self, segment: int) -> list[Effect]:
        """Speech resumed: whatever comes of the proposal is stale."""
        job = self._jobs.pop(segment, None)
        if job is None:
            return []
        dropped = Dropped("tentative", "speech_resumed")
        return [dropped, _cancel(job, "speech_resumed")] if job.is_under_way else [dropped]

    def confirm(self, utterance: FinalWindow, now: float) -> None:
        """The endpoint fired. A proposal that covers the same speech is taken over, decoded or not."""
        job = self._jobs.get(utterance.segment)
        if job is None or job.utterance.speech_end_sample != utterance.speech_end_sample:
            job = FinalJob(utterance=utterance, window=next(self._windows), proposed_at=now)
            self._jobs[utterance.segment] = job
        job.confirmed_at = now
        self._said[utterance.channel].on_utterance(job.utterance)
        self._learn(job)

    def settle(self, now: float, *, workers_alive: bool, awaited: bool = False) -> list[Effect]:
        """Publish what is due, notice what is missed, store what is ready. `awaited`: what is said is answered."""
        self._awaited = awaited
        if not self._jobs:
            return []
        effects: list[Effect] = []
        # Not over a list taken before: a job that fails here makes room for the next in line.
        for job in self._attended():
            if now >= job.try_at:
                effects += self._attend(job, now, workers_alive=workers_alive)
            elif (hedge_at := self._hedge_at(job)) is not None and now >= hedge_at:
                effects.append(self._hedge(job))
        return effects + self._store_next(now)

    def on_published(self, segment: int, window: int, now: float) -> None:
        """The broker has the window."""
        job = self._job(segment, window)
        if job is not None and job.publish is Publish.SENDING:
            job.publish = Publish.QUEUED
            job.publish_failures = 0
            job.published_at = now
            job.try_at = now + self._config.retry.max_queued_s

    def on_taken(self, segment: int, window: int, now: float) -> None:
        """A worker has the window; its answer is due within the retry deadline."""
        job = self._job(segment, window)
        if job is not None and job.publish is Publish.QUEUED:
            job.publish = Publish.TAKEN
            job.taken_at = now
            job.try_at = now + self._config.retry.deadline_s

    def on_noticed(self, segment: int, window: int, now: float, *, held: bool) -> None:
        """A worker says that it has the window, perhaps before the broker has said that it is published.

        Or it is gone and has it no more: the broker gives it to another one, who will say so.
        """
        job = self._job(segment, window)
        if job is None:
            return
        job.is_noticed = held
        if held:
            self.on_taken(segment, window, now)
        else:
            job.taken_at = now

    def on_done(self, segment: int, window: int, attempt: int, now: float) -> list[Effect]:
        """A worker told the broker some time ago that it has answered this attempt: ask again if it has not.

        To be told well after it: an answer that comes later than this is taken for lost.
        """
        job = self._job(segment, window)
        if job is None or job.is_answered or job.publish is not Publish.TAKEN or attempt < job.attempt - job.hedged:
            return []
        if job.has_rival:
            job.has_rival = False
            return [Dropped("final_result", "other_attempt_goes_on")]
        if job.failures >= self._config.retry.max_failures:
            return []  # whoever does this does it always: the deadline will tell
        job.failures += 1
        self._publish_anew(job)
        job.try_at = now
        return [Dropped("final_result", "never_came")]

    def on_publish_failed(self, segment: int, window: int, now: float) -> list[Effect]:
        """The broker may or may not have it: publish again under the same id, after a back-off."""
        job = self._job(segment, window)
        if job is None or job.publish is not Publish.SENDING:
            return []
        job.publish = Publish.DUE
        job.try_at = now + self._backoff_s(job.publish_failures)
        job.publish_failures += 1
        return [Dropped("final_publish", "failed")]

    def on_result(self, result: AsrResult, now: float) -> list[Effect]:
        """Take the first answer to a job; count any other."""
        job = self._job(result.segment, result.window)
        if job is None or job.is_answered:
            return [Dropped("final_result", "stale")]
        if result.failure is not None and job.has_rival:
            job.has_rival = False
            return [Dropped("final_result", "other_attempt_goes_on")]
        if result.failure is not None and result.worker:
            job.failures += 1
            job.failed_by.add(result.worker)
            if self._may_yet_succeed(job, result.worker):
                self._publish_anew(job)
                job.try_at = now + self._backoff_s(job.failures - 1)
                return [Dropped("final_result", "failed_by_one")]
        job.answered_at = now
        effects: list[Effect] = [_cancel(job, "answered")] if job.hedged else []
        if result.failure is not None:
            job.failure = result.failure
            return effects
        job.result = in_window(result, job.utterance.start_sample, job.utterance.end_sample)
        self._measure(job, result, now)
        self._learn(job)
        return effects

    def on_stored(self, segment: int, now: float) -> list[Effect]:
        """The record is durable: show it."""
        self._storing = None
        job = self._jobs.pop(segment)
        return [Emit(event_of(job, self._config, self._clock, now))]

    def on_store_failed(self, segment: int, now: float) -> None:
        """Not known to be stored: store again under the same id, after a back-off, for as long as it takes."""
        self._storing = None
        job = self._jobs[segment]
        job.store_at = now + self._backoff_s(job.store_failures)
        job.store_failures += 1

    def on_bus_back(self, now: float) -> None:
        """The broker may have restarted empty: publish unanswered work again, and store at once."""
        for job in self._jobs.values():
            if job.publish in (Publish.QUEUED, Publish.TAKEN):
                self._publish_anew(job)
            job.try_at = min(job.try_at, now) if job.publish is Publish.DUE else job.try_at
            job.store_at = now

    def deadline(self) -> float | None:
        """When `settle` has something to do by itself."""
        if not self._jobs:
            return None
        attended = list(self._attended())
        times = [job.try_at for job in attended if job.publish is not Publish.SENDING]
        times += [at for job in attended if (at := self._hedge_at(job)) is not None]
        if self._storing is None:
            times += [job.store_at for job in self._heads() if job.is_ready]
        return min(times, default=None)

    def _attended(self) -> Iterator[FinalJob]:
        """Unanswered jobs that may be with the broker; the rest of a burst waits its turn here."""
        room = self._config.retry.max_in_broker
        for job in self._jobs.values():
            if room and not job.is_answered:
                yield job
                room -= not job.is_answered

    def _attend(self, job: FinalJob, now: float, *, workers_alive: bool) -> list[Effect]:
        effects: list[Effect] = []
        if job.publish is Publish.QUEUED:
            self._publish_anew(job)
            effects.append(Dropped("final_queue", "expired"))
        elif job.publish is Publish.TAKEN:
            effects += self._miss(job, now, workers_alive=workers_alive)
        if job.publish is Publish.DUE and job.failure is None:
            job.publish = Publish.SENDING
            effects.append(self._decode(job))
        return effects

    def _job(self, segment: int, window: int) -> FinalJob | None:
        job = self._jobs.get(segment)
        return job if job is not None and job.window == window else None

    def _of_channel(self, channel: int) -> Iterator[FinalJob]:
        return (job for job in self._jobs.values() if job.utterance.channel == channel)

    def _heads(self) -> list[FinalJob]:
        """The oldest job of each channel: the only ones whose turn to be stored can have come."""
        heads: dict[int, FinalJob] = {}
        for job in self._jobs.values():
            heads.setdefault(job.utterance.channel, job)
        return list(heads.values())

    def _backoff_s(self, failures: int) -> float:
        retry = self._config.retry
        return float(min(retry.max_backoff_s, retry.backoff_s * 2 ** min(failures, 10)))

    def _miss(self, job: FinalJob, now: float, *, workers_alive: bool) -> list[Effect]:
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

    def _publish_anew(self, job: FinalJob) -> None:
        """Under a new id: the broker remembers those of work that was taken, and would swallow the old one."""
        job.publish = Publish.DUE
        job.attempt += 1
        job.has_rival = job.is_noticed = False

    def _hedge_at(self, job: FinalJob) -> float | None:
        """When to decide on a hedge; moves with what is usual in the pool."""
        hedging = self._config.pool.hedging
        wait_s = hedging.wait_s if job.is_noticed else hedging.unnoticed_wait_s
        if wait_s is None or job.publish is not Publish.TAKEN or not job.may_hedge:
            return None
        return job.taken_at + wait_s

    def _hedge(self, job: FinalJob) -> Effect:
        job.may_hedge = False
        if not self._config.pool.hedging.spend():
            return Dropped("hedge", "over_budget")
        job.hedged = job.has_rival = True
        job.attempt += 1
        return self._decode(job, hedge=True)

    def _may_yet_succeed(self, job: FinalJob, worker: str) -> bool:
        """Whether another one than `worker`, who cannot, may decode it.

        All its deliveries may have gone to one worker that can decode nothing, and so has time for them.
        """
        is_alone = len(job.failed_by) < 2 and self._config.pool.hedging.has_other_than(worker)
        return is_alone and job.failures < self._config.retry.max_failures

    def _measure(self, job: FinalJob, result: AsrResult, now: float) -> None:
        """What the answer tells of its pool."""
        if job.published_at is None:
            return
        pool, round_trip_s = self._config.pool, now - job.published_at
        if result.timings is not None:
            pool.hedging.on_answer(max(0.0, round_trip_s - result.timings.queue_s))
        if job.hedged:  # one worker is slow, not the pool; and which attempt this answers, hurried or not, is not known
            return
        pool.lag.on_final(max(0.0, round_trip_s - work_s(result)), now)
        if result.timings is not None:
            pool.haste.on_final(work_s(result), now, hurried=job.hurried)

    def _learn(self, job: FinalJob) -> None:
        """Of speech that ended only: a pause that was none may hold half a word."""
        if job.confirmed_at is not None and job.result is not None:
            self._said[job.utterance.channel].on_text(job.utterance.segment, job.result.text)
            self._language.on_final(job.result.language, job.result.language_probability, job.result.text)

    def _decode(self, job: FinalJob, *, hedge: bool = False) -> Decode:
        utterance, language = job.utterance, self._language.current
        # Who is not answered and wants no partials sends a file, or keeps a record: a right text is worth the wait.
        pool = self._config.pool
        awaited, watched = self._awaited, self._config.partials
        hurried = (watched and pool.lag.is_pressed) or pool.haste.pays(awaited=awaited, watched=watched)
        job.hurried = hurried
        follows = hurried or self._config.follow_partials
        # The prior makes the text better and decoding longer. Its language has to be known.
        affordable = language is not None and not hurried
        prior = self._said[utterance.channel].before(utterance) if affordable else None
        return Decode(
            kind="final",
            segment=utterance.segment,
            channel=utterance.channel,
            window=job.window,
            attempt=job.attempt,
            start_sample=prior.start_sample if prior else utterance.start_sample,
            end_sample=utterance.end_sample,
            language=language,
            word_times=self._config.word_times,
            hedge=hedge,
            prior_samples=utterance.start_sample - prior.start_sample if prior else 0,
            prior_text=prior.text if prior else "",
            draft=utterance.draft if follows else "",
            draft_end_sample=utterance.draft_end_sample if follows else 0,
            hurried=hurried,
        )

    def _store_next(self, now: float) -> list[Effect]:
        if self._storing is not None:
            return []
        ready = [job for job in self._heads() if job.is_ready and now >= job.store_at]
        if not ready:
            return []
        first = min(ready, key=lambda job: job.answered_at)
        self._storing = first.utterance.segment
        return [Store(record_of(first, self._config))]


def _cancel(job: FinalJob, reason: CancelReason) -> Cancel:
    return Cancel(job.utterance.segment, job.window, reason)
