"""What becomes of an answered final: its record, and the event that shows it."""

from bus.contract.client_protocol import StageTimes
from bus.contract.records import SegmentFailed, SegmentRecord, TranscriptFinal
from bus.contract.work import SAMPLE_RATE_HZ, AsrResult
from stream_gateway.session.audio_clock import AudioClock
from stream_gateway.session.config import SessionConfig
from stream_gateway.session.events import Failed, Final
from stream_gateway.session.final_job import FinalJob


def record_of(job: FinalJob, config: SessionConfig) -> SegmentRecord:
    """The record of a job that is answered; the same each time."""
    utterance, result = job.utterance, job.result
    start_s = utterance.speech_start_sample / SAMPLE_RATE_HZ
    end_s = utterance.speech_end_sample / SAMPLE_RATE_HZ
    until_s = utterance.end_sample / SAMPLE_RATE_HZ
    if result is None:
        assert job.failure is not None
        return SegmentFailed(
            tenant=config.tenant,
            session=config.session,
            segment=utterance.segment,
            channel=utterance.channel,
            start_s=start_s,
            end_s=end_s,
            until_s=until_s,
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
        until_s=until_s,
        text=result.text,
        language=result.language,
        task=config.task,
        model=result.model,
        words=result.words if config.word_times else (),
    )


def event_of(job: FinalJob, config: SessionConfig, clock: AudioClock, now: float) -> Final | Failed:
    """What the client is told of a job whose record is stored."""
    record = record_of(job, config)
    if isinstance(record, SegmentFailed):
        return failed_of(record)
    assert job.result is not None
    return final_of(record, _times(job, clock, now), language_probability=job.result.language_probability)


def failed_of(record: SegmentFailed) -> Failed:
    """A stored failure, as the client is told of it."""
    return Failed(record.segment, record.channel, record.start_s, record.end_s, record.code, record.message)


def final_of(record: TranscriptFinal, times: StageTimes, *, language_probability: float = 0.0) -> Final:
    """A stored final, as the client is told of it."""
    return Final(
        segment=record.segment,
        channel=record.channel,
        start_s=record.start_s,
        end_s=record.end_s,
        text=record.text,
        words=record.words,
        language=record.language,
        model=record.model,
        times=times,
        language_probability=language_probability,
    )


def work_s(result: AsrResult) -> float:
    """How long the worker worked on it, as far as it says."""
    worker = result.timings
    return worker.features_s + worker.encode_s + worker.decode_s if worker else 0.0


def _times(job: FinalJob, clock: AudioClock, now: float) -> StageTimes:
    assert job.result is not None and job.confirmed_at is not None
    worker = job.result.timings
    spoken_at = clock.received_at(job.utterance.speech_end_sample)
    return StageTimes(
        endpoint_s=max(0.0, job.confirmed_at - spoken_at),
        queue_s=worker.queue_s if worker else 0.0,
        batch_wait_s=worker.batch_wait_s if worker else 0.0,
        encode_s=worker.encode_s if worker else 0.0,
        decode_s=worker.decode_s if worker else 0.0,
        publish_s=max(0.0, now - max(job.answered_at, job.confirmed_at)),
        total_s=max(0.0, now - spoken_at),
    )
