from types import SimpleNamespace
from typing import cast

from stream_gateway.live_session import LiveSession
from stream_gateway.registry import Registry


def a_session(name: str, *, detached_at: float | None, awaits_client: bool) -> LiveSession:
    """As much of one as the registry looks at."""

    class Session:
        session_id = name
        machine = SimpleNamespace(awaits_client=awaits_client)

    session = Session()
    vars(session)["detached_at"] = detached_at
    return cast(LiveSession, session)


def test_those_who_wait_for_their_client_come_in_the_order_of_their_loss_and_not_when_their_time_is_over() -> None:
    registry = Registry()
    late = a_session("late", detached_at=2.0, awaits_client=True)
    early = a_session("early", detached_at=1.0, awaits_client=True)
    over = a_session("over", detached_at=0.5, awaits_client=False)
    here = a_session("here", detached_at=None, awaits_client=False)
    for one in (late, early, over, here):
        registry.add(one)
    assert registry.detached() == [early, late]
