"""Requests as tests like them."""

from typing import Any

from bus.contract.chat_work import ChatMessage, ChatRequest, Role


def request(text: str = "hello there", **fields: Any) -> ChatRequest:
    """One question, for the scripted engine's model `m`."""
    wanted: dict[str, Any] = {
        "tenant": "t1",
        "session": "s1",
        "gateway": "g1",
        "answer": 1,
        "model": "m",
        "messages": (ChatMessage("user", text),),
        "temperature": 0.0,
    }
    return ChatRequest(**(wanted | fields))


def said(role: Role, text: str) -> ChatMessage:
    """One message."""
    return ChatMessage(role, text)
