"""Several gateways behind one port: what `harken up --gateways 2` promises."""

import asyncio

import nats
import pytest

from bus.contract.subjects import PRESENCE_ASR_ALL
from tests.e2e.conftest import Stack
from tests.e2e.short_session import first_final
from tests.integration.test_supervisor import until_gone

pytestmark = [pytest.mark.weights, pytest.mark.slow]
_SESSIONS = 4


async def until_workers_are_known(nats_url: str) -> None:
    """A gateway that has just begun to listen knows nobody who decodes until it hears the next heartbeat."""
    bus = await nats.connect(nats_url)
    try:
        heartbeats = await bus.subscribe(PRESENCE_ASR_ALL)
        for _ in range(2):  # the gateways have heard the first one when the second one comes
            await heartbeats.next_msg(timeout=10)
    finally:
        await bus.close()


@pytest.mark.parametrize("stack", [("--gateways", "2")], indirect=True)
async def test_two_gateways_share_a_port_and_either_carries_on_while_the_other_starts_again(stack: Stack) -> None:
    await stack.until_logged("gateway listens", times=2)
    await until_workers_are_known(stack.nats_url)
    sessions = await asyncio.gather(*(first_final(stack.url) for _ in range(_SESSIONS)))
    assert len({session for session, _ in sessions}) == _SESSIONS

    for listened in (3, 4):
        oldest = stack.child("stream_gateway")
        oldest.kill()
        await until_gone(oldest.pid)
        await first_final(stack.url)
        await stack.until_logged("gateway listens", times=listened)
        await until_workers_are_known(stack.nats_url)
    assert len(stack.children("stream_gateway")) == 2
    assert await stack.stop() == 0
