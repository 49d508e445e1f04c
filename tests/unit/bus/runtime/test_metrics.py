import urllib.request

import pytest

from bus.runtime import metrics


def test_a_process_without_a_port_of_its_own_can_serve_metrics() -> None:
    server = metrics.serve_metrics(0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as answer:
            assert b"python_info" in answer.read()
        with pytest.raises(OSError):
            metrics.serve_metrics(server.port)
    finally:
        server.close()


def test_a_process_may_share_the_port_with_the_one_that_it_replaces_if_both_say_so() -> None:
    old = metrics.serve_metrics(0, reuse_port=True)
    try:
        new = metrics.serve_metrics(old.port, reuse_port=True)
        new.close()
        with pytest.raises(OSError):
            metrics.serve_metrics(old.port)
    finally:
        old.close()
