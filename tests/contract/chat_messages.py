"""One message of each kind that chat brought, with every field set, as the golden files hold them."""

from bus.contract import chat_work, client_protocol, records

CHAT: dict[str, chat_work.ChatRequest | chat_work.ChatReply | chat_work.ChatCancel] = {
    "chat_request_v1.bin": chat_work.ChatRequest(
        tenant="t1",
        session="s1",
        gateway="g1",
        answer=3,
        attempt=2,
        model="smollm2",
        messages=(
            chat_work.ChatMessage("system", "be brief"),
            chat_work.ChatMessage("user", "hello"),
            chat_work.ChatMessage("assistant", "hi"),
            chat_work.ChatMessage("user", "and now"),
        ),
        prefill="so far",
        max_tokens=64,
        temperature=0.25,
        deadline_s=30.0,
    ),
    "chat_taken_v1.bin": chat_work.ChatTaken(session="s1", answer=3, attempt=2, worker="w1", model="smollm2"),
    "chat_delta_v1.bin": chat_work.ChatDelta(session="s1", answer=3, attempt=2, seq=7, text="hello", tokens=2),
    "chat_done_v1.bin": chat_work.ChatDone(
        session="s1",
        answer=3,
        attempt=2,
        deltas=7,
        finish_reason="length",
        usage=chat_work.ChatUsage(prompt_tokens=11, completion_tokens=5, cached_tokens=4),
        timings=chat_work.ChatTimings(queue_s=0.5, prefill_s=0.25, emit_s=0.125, generate_s=2.0),
        model="smollm2",
        worker="w1",
    ),
    "chat_failed_v1.bin": chat_work.ChatFailed(
        session="s1", answer=3, attempt=2, code="busy", message="no slot is free", retryable=True, worker="w1"
    ),
    "chat_cancel_v1.bin": chat_work.ChatCancel(session="s1", answer=3, upto_attempt=2),
}

RECORDS: dict[str, records.Record] = {
    "chat_turn_v1.json": records.ChatTurn(
        tenant="t1",
        session="s1",
        turn=4,
        role="assistant",
        text="hello",
        source="model",
        segment=2,
        answer=3,
        end="cancelled",
        model="smollm2",
        id="c1",
        asks=True,
        prompt_tokens=11,
        completion_tokens=5,
        cached_tokens=4,
    )
}

CLIENT: dict[str, client_protocol.ClientMessage] = {
    "client_chat_send_v1.json": client_protocol.ChatSend(text="hello", answer=False, id="c1"),
    "client_chat_request_v1.json": client_protocol.ChatRequest(id="c2"),
    "client_chat_cancel_v1.json": client_protocol.ChatCancel(answer=3),
    "client_chat_configure_v1.json": client_protocol.ChatConfigure(
        instructions="be brief", model="smollm2", max_tokens=64, temperature=0.25, auto=False
    ),
    "client_chat_reset_v1.json": client_protocol.ChatReset(),
}

EVENTS: dict[str, client_protocol.ServerEvent] = {
    "event_chat_turn_v1.json": client_protocol.ChatTurnStored(seq=15, turn=4, source="typed", segment=2, id="c1"),
    "event_chat_started_v1.json": client_protocol.ChatStarted(seq=11, answer=3, model="smollm2", id="c1"),
    "event_chat_delta_v1.json": client_protocol.ChatDelta(seq=12, answer=3, text="hello"),
    "event_chat_done_v1.json": client_protocol.ChatDone(
        seq=13,
        answer=3,
        text="hello",
        finish_reason="stop",
        usage=client_protocol.ChatUsage(prompt_tokens=11, completion_tokens=5, cached_tokens=4),
        times=client_protocol.ChatTimes(queue_s=0.5, prefill_s=0.25, first_delta_s=1.0, total_s=3.0),
        model="smollm2",
    ),
    "event_chat_cancelled_v1.json": client_protocol.ChatCancelled(seq=14, answer=3, text="hel", reason="speech"),
    "event_chat_failed_v1.json": client_protocol.ChatFailed(
        seq=15, answer=3, text="hel", code="no_worker", message="no LLM worker is connected", retryable=True
    ),
}
