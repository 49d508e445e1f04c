"""`python -m llm_workers.engines.llama_server`: llama.cpp's own HTTP server, for the worker that starts it.

A process of its own, so that its threads share no interpreter with the worker's event loop, and that whatever becomes
of it, the worker lives to tell. The first line of stdin is its configuration, the first line of stdout its address or
what went wrong; it ends when stdin does, so that it never outlives its worker.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

_EXIT_FAILED = 1
_ERRORS_ONLY = 1
_CPU_STEP_TOKENS = 16
"""Of prompts and answers together, on a CPU. No answer goes on while a step computes, and whoever has gone is noticed
between two of them; with 2048, the default, that may be half a minute. Steps of 16 took no more time for a prompt than
those of 32, steps of 8 up to a sixth more."""
_HTTP_THREADS_BEYOND_SLOTS = 4
_NICENESS = 5
"""Speech comes first: a late final is late for whoever spoke, and for the answer that waits for it, while an answer
that streams slower is still read with ease. At this niceness a decode gets three quarters of a core that both want, and
a core that nobody else wants is all the model's; at 10 answers hardly began while the cores were busy. The worker is
not nice: cancels, heartbeats and tokens are little work and cannot wait."""


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker asks for."""

    model_path: str
    model_name: str
    api_key: str
    slots: int
    threads: int
    context_tokens: int
    """Of one slot."""
    use_gpu: bool
    prompt_cache_mib: int
    """Of conversations whose slot another one has taken."""


class Started(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What it answers: `url`, or `error` in one sentence."""

    url: str = ""
    error: str = ""


def main() -> None:
    """Serve until the end of stdin."""
    _give_way()
    config = msgspec.json.decode(sys.stdin.buffer.readline(), type=ServerConfig)
    try:
        server = _open(config)
        _say(Started(url=server.listening_address))
    except ImportError:
        _say(Started(error="the package xllamacpp is not installed"))
        os._exit(_EXIT_FAILED)
    except Exception as error:  # whatever the library raises means the same
        _say(Started(error=f"llama.cpp cannot load the model ({type(error).__name__})"))
        os._exit(_EXIT_FAILED)
    sys.stdin.buffer.read()
    # Nothing is worth waiting for, and threads of the library may be in the middle of a token.
    os._exit(0)


def _give_way() -> None:
    os.nice(_NICENESS)
    # Where each session is a scheduling group of its own (autogroup), niceness counts only within it, and the session
    # of this process has but itself: the group is made nice too. Most containers have no such groups.
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICENESS))


def _open(config: ServerConfig) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config.model_path
    params.model_alias = {config.model_name}
    params.n_parallel = config.slots
    params.n_ctx = config.slots * config.context_tokens
    params.cpuparams.n_threads = config.threads
    params.cpuparams_batch.n_threads = config.threads
    params.n_threads_http = config.slots + _HTTP_THREADS_BEYOND_SLOTS
    params.cache_ram_mib = config.prompt_cache_mib
    params.api_keys = [config.api_key]
    params.ui = False
    params.verbosity = _ERRORS_ONLY
    if not config.use_gpu:
        params.n_gpu_layers = 0
    if not (config.use_gpu and _has_gpu(xllamacpp)):
        params.n_batch = params.n_ubatch = max(_CPU_STEP_TOKENS, config.slots)
    return xllamacpp.Server(params)


def _has_gpu(xllamacpp: Any) -> bool:
    kinds = xllamacpp.ggml_backend_dev_type
    cpu = (kinds.GGML_BACKEND_DEVICE_TYPE_CPU, kinds.GGML_BACKEND_DEVICE_TYPE_ACCEL)
    return any(device["type"] not in cpu for device in xllamacpp.get_device_info())


def _say(started: Started) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(started) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
