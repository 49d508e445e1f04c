"""Settings of an ASR worker process: HARKEN_ASR_* or flags."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from bus.contract.identifiers import check_identifier
from bus.runtime.settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class AsrSettings:
    """Read once by `__main__`; everything below receives values."""

    section: ClassVar[str] = "ASR"

    model: str = setting("base", help="Name of a model (see harken models list) or path of a folder.")
    engine: str = setting("faster-whisper", help="faster-whisper, or scripted for tests.")
    device: Literal["cpu", "cuda", "auto"] = setting("auto", help="Where the model runs.")
    compute_type: str = setting("auto", help="CTranslate2 compute type; auto is int8 on a CPU and float16 on a GPU.")
    threads: int = setting(
        0,
        help="Decodes in parallel; 0 is one per CPU core, or one on a GPU. harken up with several workers splits the "
        "cores, except with device cuda.",
        minimum=0,
    )
    call_threads: int = setting(
        0,
        help="CPU threads of one decode; 0 is two. With threads x call_threads above the cores, a lone decode uses "
        "what others leave idle.",
        minimum=0,
    )
    batch_size: int = setting(0, help="Windows per model call; 0 is 1 on a CPU and 16 on a GPU.", minimum=0)
    beam_size: int = setting(5, help="Beam of finals; partials are always greedy.", minimum=1, maximum=10)
    batch_wait_s: float = setting(
        0.02,
        help="How long a batch may wait to fill, where the measured costs say that waiting pays (GPUs); 0 is never.",
        minimum=0,
        maximum=1,
    )
    pool: str = setting("std", help="Pool that this worker serves.")
    priority: int = setting(0, help="Pull priority: 0 at home, up to 9 as a reserve.", minimum=0, maximum=9)
    metrics_port: int | None = setting(
        None, help="Port for /metrics on loopback; none by default.", minimum=0, maximum=65535
    )
    decode_timeout_s: float = setting(60.0, help="A model call longer than this ends the process.", minimum=1)
    drain_timeout_s: float = setting(15.0, help="How long running decodes may take after SIGTERM.", minimum=0)
    connect_timeout_s: float = setting(30.0, help="How long to try to reach NATS at the start.", minimum=0.1)

    def __post_init__(self) -> None:
        check_identifier(self.pool, "HARKEN_ASR_POOL")
