"""Tests that wait for long: for leases, elections of a cluster, whole restarts. `make test-faults` runs them too."""

import os

import pytest

needs_patience = pytest.mark.skipif("HARKEN_TEST_FAULTS" not in os.environ, reason="takes long: make test-faults")
