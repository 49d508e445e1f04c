"""How sessions are named: like the connection that they begin on, so that its upgrade can tell the name already."""

from uuid import UUID


def session_id_of(connection: UUID) -> str:
    """Unique, and a token of subjects."""
    return f"s{connection.hex}"
