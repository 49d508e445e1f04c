"""What a session needs of its process, where there is none."""

from types import SimpleNamespace
from typing import cast

from bus.control.roster import Roster
from stream_gateway.chat.options import AnswerPatience
from stream_gateway.policy.endpoint import EndpointOptions
from stream_gateway.policy.pool import Pool
from stream_gateway.segmentation.segmenter import SegmenterOptions
from stream_gateway.services import Services
from stream_gateway.session.config import RetryOptions


def services_around(roster: Roster) -> Services:
    """As much of them as the configuration of a session takes; utterances are cut early, so that some are."""
    pool = Pool()
    return cast(
        Services,
        SimpleNamespace(
            default_instructions="",
            patience=AnswerPatience(),
            follow_partials=True,
            segmenter=SegmenterOptions(max_utterance_s=8.0, cut_search_s=3.0),
            endpoint=EndpointOptions(),
            retry=RetryOptions(),
            pool_of=lambda _: pool,
            llm=roster,
        ),
    )
