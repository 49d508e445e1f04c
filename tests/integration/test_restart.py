"""`harken restart` and a SIGHUP, with small stand-ins for the services: each says that it is ready, as real ones do."""

import signal

from bus.control.probes import http_get
from tests.integration.test_supervisor import is_alive
from tests.integration.test_up import Bench, bench

__all__ = ["bench"]


async def test_harken_restart_replaces_gateways_and_workers_one_by_one_and_lets_nats_be(bench: Bench) -> None:
    async with bench.up("--gateways", "2") as up:
        await up.ready_line()
        status, said = await bench.restart()
        assert (status, said.splitlines()) == (
            0,
            ["restarting asr (1 of 3)", "restarting gateway.1 (2 of 3)", "restarting gateway.2 (3 of 3)", "restarted"],
        )
        await up.until_said("| restarted")
        so_far = [line.split()[0] for line in up.errors if "leaving" in line]
        assert so_far == ["asr", "gateway.1", "gateway.2"]
        up.process.send_signal(signal.SIGINT)
        assert await up.end() == 0
    assert not any(is_alive(pid) for pid in up.pids())


async def test_a_sighup_restarts_too(bench: Bench) -> None:
    async with bench.up() as up:
        await up.ready_line()
        up.process.send_signal(signal.SIGHUP)
        await up.until_said("| restarted")
        up.process.send_signal(signal.SIGINT)
        assert await up.end() == 0
    assert [line.split()[0] for line in up.errors if "leaving" in line][:2] == ["asr", "gateway"]


async def test_a_restart_stops_at_the_first_process_that_does_not_serve_and_the_old_ones_go_on(bench: Bench) -> None:
    async with bench.up() as up:
        await up.ready_line()
        bench.stand_in("stream_gateway/__main__.py", "raise SystemExit('no such key')")
        status, said = await bench.restart()
        assert status == 1
        assert "the new gateway ended. Its last lines:\n  no such key" in said
        assert (await http_get("127.0.0.1", bench.port, "/readyz")).status == 200
        up.process.send_signal(signal.SIGINT)
        assert await up.end() == 0


async def test_harken_restart_says_that_nothing_runs(bench: Bench) -> None:
    status, said = await bench.restart()
    assert status == 1
    assert "no harken up listens at" in said and "--data-dir" in said
