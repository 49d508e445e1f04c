"""Starts WhisperLive's server, for which its package has no command. Runs in its environment, not in ours."""

import argparse

from whisper_live.server import TranscriptionServer

# Limits that would turn sessions away are out of the way: what a system does with the sessions it takes is measured.
_UNLIMITED = {"max_clients": 1000, "max_connection_time": 3600}
_UNLIMITED_BATCH = {"batch_max_queue_wait_s": 3600.0, "batch_max_admissions_per_s": 1000.0}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True, help="folder with CTranslate2 weights")
    parser.add_argument("--sharing", choices=("own", "shared", "batch"), required=True)
    options = parser.parse_args()
    TranscriptionServer().run(
        "127.0.0.1",
        port=options.port,
        backend="faster_whisper",
        faster_whisper_custom_model_path=options.model,
        single_model=options.sharing != "own",
        batch_enabled=options.sharing == "batch",
        cache_path=".",
        **_UNLIMITED,
        **_UNLIMITED_BATCH,
    )


if __name__ == "__main__":
    main()
