"""Random trouble: whatever becomes of workers, broker and bus, the client sees each piece once and in order.

Workers continue any prefill of a numbered text exactly, so what is lost or doubled shows.
"""

from random import Random

import pytest

from bus.contract import chat_work as work
from stream_gateway.session import events
from stream_gateway.session.effects import Ask
from tests.unit.stream_gateway.chat.desk import TIMINGS, USAGE, Desk

TEXT = "".join(f"{number} " for number in range(40))
STEP_S = 0.05


class Worker:
    """Has one attempt at a time, and continues the text after its prefill in pieces of its own size."""

    def __init__(self, name: str, ask: Ask, random: Random) -> None:
        self.name = name
        self.ask = ask
        self.at = len(ask.prefill)
        self.seq = 0
        self.piece = random.randint(1, 9)

    def step(self) -> work.ChatReply:
        answer, attempt = self.ask.answer, self.ask.attempt
        if self.at >= len(TEXT):
            return work.ChatDone(
                session="s1",
                answer=answer,
                attempt=attempt,
                deltas=self.seq,
                finish_reason="stop",
                usage=USAGE,
                timings=TIMINGS,
                model="smollm2",
                worker=self.name,
            )
        text = TEXT[self.at : self.at + self.piece]
        self.at += self.piece
        self.seq += 1
        return work.ChatDelta(session="s1", answer=answer, attempt=attempt, seq=self.seq, text=text)


@pytest.mark.parametrize("seed", range(150))
def test_no_piece_is_lost_or_doubled_whatever_happens_to_workers_and_bus(seed: int) -> None:
    random = Random(seed)
    desk = Desk(workers=("w1", "w2"))
    desk.say("count")
    seen = 0
    running: list[Worker] = []
    queue: list[Ask] = []
    connected = True
    for step in range(2000):
        trouble = step < 200
        queue += desk.asks()[seen:]
        seen = len(desk.asks())
        idle = sorted(desk.alive - {worker.name for worker in running})
        if queue and idle and random.random() < 0.5:
            worker = Worker(idle[0], queue.pop(0), random)
            running.append(worker)
            taken = work.ChatTaken(
                session="s1",
                answer=worker.ask.answer,
                attempt=worker.ask.attempt,
                worker=worker.name,
                model="smollm2",
            )
            if connected and not (trouble and random.random() < 0.1):
                desk.reply(taken)
        for worker in list(running):
            reply = worker.step()
            if isinstance(reply, work.ChatDone):
                running.remove(worker)
            if connected and not (trouble and random.random() < 0.02):
                desk.reply(reply)
                if trouble and random.random() < 0.05:
                    desk.reply(reply)
        if trouble and random.random() < 0.02 and desk.alive:
            name = random.choice(sorted(desk.alive))
            desk.alive.discard(name)
            running = [worker for worker in running if worker.name != name]
        if random.random() < 0.05:
            desk.alive |= {f"w{random.randint(1, 2)}"}
        if connected and trouble and random.random() < 0.01:
            connected = False
            desk.do(lambda: desk.chat.on_bus(desk.now, connected=False))
        elif not connected and random.random() < 0.2:
            connected = True
            queue.clear()
            desk.beat()
            desk.do(lambda: desk.chat.on_bus(desk.now, connected=True))
        desk.pass_time(STEP_S)
        if desk.chat.is_idle:
            break
    assert desk.chat.is_idle, "it comes to an end"
    done, failed = desk.events(events.ChatDone), desk.events(events.ChatFailed)
    assert len(done) + len(failed) == 1
    if done:
        assert desk.shown() == done[0].text == TEXT
    else:
        assert TEXT.startswith(desk.shown())
        assert failed[0].text == desk.shown()
