import pytest

from bus.transport import roles


def test_the_administrator_has_no_restrictions() -> None:
    assert roles.permissions_of("admin") is None


@pytest.mark.parametrize("role", ["", "root", "reader", "reader_", "reader_a.b", "reader_>"])
def test_an_unknown_role_is_refused(role: str) -> None:
    with pytest.raises(ValueError):
        roles.permissions_of(role)


@pytest.mark.parametrize("role", ["gateway", "asr", "llm", "reader_t1"])
def test_no_role_may_hear_the_shared_inbox_prefix(role: str) -> None:
    permissions = roles.permissions_of(role)
    assert permissions is not None
    assert not {">", "_INBOX.>", "_INBOX*.>"} & {*permissions.subscribe, *permissions.publish}


def test_a_readers_grants_all_name_its_tenant() -> None:
    permissions = roles.permissions_of(roles.reader_role("t1"))
    assert permissions is not None
    for subject in (*permissions.publish, *permissions.subscribe):
        assert "t1" in subject.replace("_", ".").split("."), subject


def test_a_kind_of_worker_pulls_its_own_work_only() -> None:
    asr, llm = roles.permissions_of("asr"), roles.permissions_of("llm")
    assert asr is not None and llm is not None
    assert not [subject for subject in asr.publish if "MSG.NEXT.LLM" in subject or "inbox.chat" in subject]
    assert not [subject for subject in llm.publish if "MSG.NEXT.ASR" in subject or "inbox.gw" in subject]
