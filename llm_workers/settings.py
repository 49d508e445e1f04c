"""Settings of an LLM worker process: HARKEN_LLM_* or flags."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from bus.contract.identifiers import check_identifier
from bus.runtime.settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmSettings:
    """Read once by `__main__`; everything below receives values."""

    section: ClassVar[str] = "LLM"

    model: str = setting(
        "smollm2",
        help="Name that sessions ask for. Without a base URL also where the weights are: a name of harken models list "
        "or the path of a file or folder.",
    )
    aliases: tuple[str, ...] = setting((), help="Other names that sessions may ask for, separated by commas.")
    engine: str = setting(
        "openai-compatible",
        help="openai-compatible: a model server, by default one that the worker starts (llama.cpp); torch: "
        "transformers in this process; scripted: for tests.",
    )
    base_url: str = setting(
        "", help="OpenAI-compatible server to ask, up to and with /v1; by default the worker starts one of its own."
    )
    api_key: str | None = setting(None, help="Key of that server.")
    device: Literal["cpu", "cuda", "auto"] = setting("auto", help="Where a model of ours runs.")
    slots: int = setting(
        0,
        help="Answers at the same time; 0 is the engine's own choice: what the server says, 4 for one of ours.",
        minimum=0,
    )
    threads: int = setting(
        0,
        help="CPU threads of a model of ours; 0 is the engine's own choice: half of the cores for llama.cpp, whose "
        "threads wait for each other at every step and stall where others want the same cores.",
        minimum=0,
    )
    context_tokens: int = setting(
        0,
        help="Longest conversation with its answer; 0 is what the model or its server allows, 4096 for one of ours.",
        minimum=0,
    )
    pool: str = setting("std", help="Pool that this worker serves.")
    priority: int = setting(0, help="Pull priority: 0 at home, up to 9 as a reserve.", minimum=0, maximum=9)
    engine_settings: tuple[str, ...] = setting((), help="What only one engine knows, as name=value,name=value.")
    metrics_port: int | None = setting(
        None, help="Port for /metrics on loopback; none by default.", minimum=0, maximum=65535
    )
    first_token_timeout_s: float = setting(
        60.0, help="An answer without a token for this long, from its start, has failed.", minimum=0.1
    )
    next_token_timeout_s: float = setting(
        20.0, help="An answer without a further token for this long has failed.", minimum=0.1
    )
    start_timeout_s: float = setting(120.0, help="How long the engine may take to be ready.", minimum=1)
    drain_timeout_s: float = setting(15.0, help="How long running answers may take after SIGTERM.", minimum=0)
    connect_timeout_s: float = setting(30.0, help="How long to try to reach NATS at the start.", minimum=0.1)

    def __post_init__(self) -> None:
        check_identifier(self.pool, "HARKEN_LLM_POOL")
        if self.base_url and not self.base_url.startswith(("http://", "https://")):
            raise ValueError("HARKEN_LLM_BASE_URL must begin with http:// or https://")
        self.engine_options()

    def engine_options(self) -> Mapping[str, str]:
        """`engine_settings` by name. ValueError if one has no value."""
        pairs = [one.partition("=") for one in self.engine_settings]
        if any(not (name and equals) for name, equals, _ in pairs):
            raise ValueError("HARKEN_LLM_ENGINE_SETTINGS must be name=value,name=value")
        return {name: value for name, _, value in pairs}
