import time

from nats.aio.client import Client
from nats.aio.msg import Msg

from bus.transport.delivery import Job, read_job


async def test_each_answer_is_what_the_broker_expects() -> None:
    sent: list[bytes] = []
    job = _job(sent)
    await job.in_progress()
    await job.ack()
    await job.nak()
    await job.nak(delay_s=0.25)
    await job.term("corrupt audio")
    assert sent == [b"+WPI", b"+ACK", b"-NAK", b'-NAK {"delay": 250000000}', b"+TERM corrupt audio"]


def test_a_job_knows_its_deliveries_and_its_age() -> None:
    stored_at_ns = round((time.time() - 2.0) * 1e9)
    job = read_job(_message(f"$JS.ACK.ASR_FINAL.asr_std.3.17.42.{stored_at_ns}.0"), _nothing)
    assert job.deliveries == 3
    assert 1.9 < job.stored_age_s < 4.0


def test_a_brokers_clock_that_runs_ahead_makes_no_negative_age() -> None:
    stored_at_ns = round((time.time() + 60.0) * 1e9)
    assert read_job(_message(f"$JS.ACK.ASR_FINAL.asr_std.1.1.1.{stored_at_ns}.0"), _nothing).stored_age_s == 0.0


def test_audio_does_not_show() -> None:
    assert "secret" not in repr(_job([]))


def _job(sent: list[bytes]) -> Job:
    async def respond(answer: bytes) -> None:
        sent.append(answer)

    return Job(
        data=b"secret",
        subject="asr.final.std.t1.s1",
        deliveries=1,
        stored_age_s=0.0,
        ack_subject="$JS.ACK.ASR_FINAL.asr_std.1.7.9.1.0",
        respond=respond,
    )


def _message(reply: str) -> Msg:
    return Msg(_client=Client(), subject="asr.final.std.t1.s1", reply=reply, data=b"x")


async def _nothing(answer: bytes) -> None:
    pass
