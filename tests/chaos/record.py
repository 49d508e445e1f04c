"""The record of a session as a downstream reader finds it."""

import base64
import json

from bus.contract import subjects
from bus.contract.records import Record, decode_record
from bus.transport.connection import BusConnection
from bus.transport.jetstream_api import AssetMissing

TENANT = "default"


async def stored(bus: BusConnection, session: str) -> list[Record | None]:
    """All records of one session, in the order of the stream; None for one that is none by the contract."""
    subject = subjects.transcripts(TENANT, session)
    found: list[Record | None] = []
    sequence = 0
    while True:
        call = f"STREAM.MSG.GET.{subjects.STREAM_TRANSCRIPTS}"
        body = json.dumps({"seq": sequence + 1, "next_by_subj": subject}).encode()
        try:
            message = (await bus.request_api(call, body))["message"]
        except AssetMissing:
            return found
        sequence = message["seq"]
        try:
            found.append(decode_record(base64.b64decode(message["data"])))
        except ValueError:
            found.append(None)
