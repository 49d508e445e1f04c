"""The example of a downstream app on a real service: what was said reaches it, live and from the store."""

import pytest

from tests.e2e.conftest import Stack
from tests.e2e.short_session import first_final
from tests.integration.test_example_subscribe import next_line, subscriber

pytestmark = pytest.mark.weights


async def test_it_finds_the_service_by_the_ready_line_and_prints_finals_live_and_replayed(stack: Stack) -> None:
    async with subscriber(stack.nats_url, tenant="default") as live:
        assert await next_line(live) == "listening for tenant default"
        session, final = await first_final(stack.url)
        shown = await next_line(live)
    assert shown == f"1 {session} {final.start_s:.1f}s {final.text}"

    async with subscriber(stack.nats_url, "--replay-since", "10m", tenant="default") as replay:
        assert {await next_line(replay) for _ in range(2)} == {"listening for tenant default", shown}
