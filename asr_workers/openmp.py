"""What the worker's process asks of OpenMP, whose threads CTranslate2 decodes with."""

from collections.abc import MutableMapping


def let_waiting_threads_sleep(environ: MutableMapping[str, str]) -> None:
    """Have threads that wait for others of their call sleep instead of spin. To be called before OpenMP is loaded.

    There are more of them than cores, and one that spins keeps a core from one that works, of this worker or another.
    A policy that the environment names already stands.
    """
    environ.setdefault("OMP_WAIT_POLICY", "passive")
