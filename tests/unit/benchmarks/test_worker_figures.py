from prometheus_client import CollectorRegistry, generate_latest

from asr_workers.metrics import WorkerMetrics
from benchmarks.worker_figures import Work, parse_work
from bus.contract.work import AsrRequest, Timings, WindowKind


def test_the_sums_of_a_worker_are_read_from_the_page_it_serves() -> None:
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry)
    windows: list[tuple[WindowKind, int]] = [("final", 16_000), ("final", 32_000), ("partial", 16_000)]
    for kind, samples in windows:
        request = AsrRequest(
            tenant="t", session="s", gateway="g", segment=1, window=1, kind=kind, start_sample=0, pcm=bytes(2 * samples)
        )
        timings = Timings(queue_s=1, batch_wait_s=1, features_s=0.25, encode_s=0.5, decode_s=2, batch_size=1)
        metrics.on_decoded(request, timings, fallback="", suppressed="")
    text = generate_latest(registry).decode()
    assert parse_work(text, "final") == Work(windows=2, audio_s=3, features_s=0.5, encode_s=1, decode_s=4)
    assert parse_work(text, "partial") == Work(windows=1, audio_s=1, features_s=0.25, encode_s=0.5, decode_s=2)
    assert parse_work(text, "final") - parse_work(text, "partial") == Work(1, 2, 0.25, 0.5, 2)


def test_what_was_not_counted_yet_is_nothing() -> None:
    assert parse_work(generate_latest(CollectorRegistry()).decode(), "final") == Work()
