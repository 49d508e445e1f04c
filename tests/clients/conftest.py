"""Unmodified clients of others against a real gateway with scripted workers; a client that is not installed skips."""

from tests.integration.conftest import launch_gateway, launch_llm_worker, launch_worker

__all__ = ["launch_gateway", "launch_llm_worker", "launch_worker"]
