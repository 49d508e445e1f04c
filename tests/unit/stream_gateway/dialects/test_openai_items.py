import msgspec
import pytest

from bus.contract.chat_work import ChatMessage
from stream_gateway.dialects import openai_items
from stream_gateway.dialects.openai_items import ROOT, Item, Items, Names, context, drafted, told
from stream_gateway.dialects.openai_wire import ItemDraft, Refusal


def draft(**fields: object) -> ItemDraft:
    return msgspec.json.decode(msgspec.json.encode(fields), type=ItemDraft)


def text_draft(text: str, role: str = "user", kind: str = "input_text") -> ItemDraft:
    return draft(role=role, content=[{"type": kind, "text": text}])


def test_names_are_fresh_and_carry_the_nonce() -> None:
    names = Names("ab")
    assert [names.new("item"), names.new("resp")] == ["item_ab000001", "resp_ab000002"]


def test_items_keep_the_order_of_the_conversation() -> None:
    items = Items()
    assert [items.insert(Item("b", "user")), items.insert(Item("d", "user"))] == [None, "b"]
    assert items.insert(Item("c", "user"), "b") == "b"
    assert items.insert(Item("a", "user"), ROOT) is None
    assert items.insert(Item("e", "user"), "gone") == "d"
    assert items.insert(Item("a2", "user"), "a") == "a"
    assert "a" in items and items.get("x") is None
    assert [items.remove("a2"), items.remove("a2")] == [True, False]
    assert "a2" not in items


def test_the_oldest_items_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_items, "_MAX_ITEMS", 2)
    items = Items()
    previous = [items.insert(Item(name, "user")) for name in "abc"]
    assert previous == [None, "a", "b"]
    assert "a" not in items and "b" in items


def test_an_item_is_shown_as_a_message() -> None:
    item = Item("i", "user", [{"type": "input_text", "text": "hi"}])
    view = {
        "id": "i",
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_text", "text": "hi"}],
    }
    assert told(item, None) == [
        {"type": "conversation.item.added", "previous_item_id": None, "item": view},
        {"type": "conversation.item.done", "previous_item_id": None, "item": view},
    ]


def test_a_view_does_not_change_with_its_item() -> None:
    item = Item("i", "user", [{"type": "input_audio"}])
    view = item.view
    item.content[0]["transcript"] = "later"
    assert view["content"] == [{"type": "input_audio"}]


@pytest.mark.parametrize(
    ("role", "part", "shown"),
    [
        ("user", {"type": "input_text", "text": "hi"}, {"type": "input_text", "text": "hi"}),
        ("system", {"type": "input_text"}, {"type": "input_text", "text": ""}),
        ("assistant", {"type": "output_text", "text": "hi"}, {"type": "output_text", "text": "hi"}),
        ("assistant", {"type": "text", "text": "hi"}, {"type": "output_text", "text": "hi"}),
        ("assistant", {"type": "output_audio", "transcript": "hi"}, {"type": "output_text", "text": "hi"}),
        ("assistant", {"type": "audio"}, {"type": "output_text", "text": ""}),
        ("user", {"type": "input_audio", "transcript": "hi"}, {"type": "input_audio", "transcript": "hi"}),
    ],
)
def test_content_is_taken_as_what_is_shown_of_it(role: str, part: object, shown: object) -> None:
    item = drafted(draft(role=role, content=[part]), "i")
    assert item.content == [shown]


def test_an_item_says_all_its_parts() -> None:
    parts = [{"type": "input_text", "text": "one"}, {"type": "input_audio", "audio": "AAE=", "transcript": "two"}]
    assert drafted(draft(content=parts), "i").text == "one\ntwo"
    assert drafted(draft(content=None), "i").text == ""


@pytest.mark.parametrize(
    "wrong",
    [
        draft(type="function_call_output"),
        draft(content=[{"type": "input_image"}]),
        draft(role="assistant", content=[{"type": "input_audio", "audio": "AAE="}]),
        draft(content=[{"type": "output_audio", "transcript": "hi"}]),
        text_draft("x" * 32_001),
    ],
)
def test_what_cannot_be_an_item_is_refused(wrong: ItemDraft) -> None:
    with pytest.raises(Refusal):
        drafted(wrong, "i")


def test_a_context_is_written_out_or_refers_to_items() -> None:
    items = Items()
    items.insert(Item("i", "assistant", [{"type": "output_text", "text": "known"}]))
    drafts = (draft(type="item_reference", id="i"), text_draft("new"), text_draft(""))
    assert context(drafts, items) == (ChatMessage("assistant", "known"), ChatMessage("user", "new"))
    for wrong in (draft(type="item_reference", id="x"), draft(type="item_reference")):
        with pytest.raises(Refusal) as caught:
            context((wrong,), items)
        assert caught.value.code == "item_not_found"


def test_an_item_has_a_bounded_number_of_parts_and_a_response_of_items() -> None:
    parts = [{"type": "input_text", "text": ""}] * 257
    with pytest.raises(Refusal, match="256 parts"):
        drafted(draft(content=parts), "i1")
    with pytest.raises(Refusal, match="500 items"):
        context((text_draft("x"),) * 501, Items())


def test_what_an_assistant_said_is_its_text() -> None:
    spoken = {"type": "output_audio", "audio": "AAAA", "transcript": "hello"}
    assert drafted(draft(role="assistant", content=[spoken]), "i1").text == "hello"
