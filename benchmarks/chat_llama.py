"""llama.cpp's server until stdin ends. `python -m benchmarks.chat_llama SLOTS CONTEXT_TOKENS` prints its URL."""

import os
import sys

import xllamacpp

from bus.runtime.model_store.catalogue import SMOLLM2
from bus.runtime.model_store.store import default_cache_dir, resolve


def main() -> None:
    """Serve the default model of chat on a free port of loopback."""
    slots, context_tokens = (int(argument) for argument in sys.argv[1:])
    params = xllamacpp.CommonParams()
    params.model.path = str(resolve(SMOLLM2.name, cache_dir=default_cache_dir()))
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = slots
    params.n_ctx = slots * context_tokens
    params.kv_unified = False
    params.endpoint_slots = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = max(1, len(os.sched_getaffinity(0)) // 2)
    server = xllamacpp.Server(params)
    print(f"{server.listening_address}/v1", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
