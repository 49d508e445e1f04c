"""One message of each kind with every field set, as the golden files hold them."""

from bus.contract import chat_work, presence, records, session_record, work
from bus.contract import client_protocol as client
from tests.contract import chat_messages

WORD = work.Word(text="hello", start_s=0.25, end_s=0.5, probability=0.75)

WORK: dict[str, work.AsrRequest | work.AsrResult | work.AsrCancel | work.AsrTaken] = {
    "asr_taken_v1.bin": work.AsrTaken(
        session="s1",
        segment=3,
        window=7,
        worker="w1",
        ack_subject="$JS.ACK.ASR_FINAL.asr_std.1.7.9.1790000000000000000.0",
    ),
    "asr_cancel_v1.bin": work.AsrCancel(session="s1", segment=3, window=7),
    "asr_request_v1.bin": work.AsrRequest(
        tenant="t1",
        session="s1",
        gateway="g1",
        segment=3,
        window=7,
        kind="final",
        start_sample=16_000,
        pcm=b"\x01\x00\xff\xff",
        language="en",
        task="translate",
        prompt="before",
        hotwords="Harken",
        word_times=False,
        prior_samples=1,
        prior_text="so far",
        draft="hel",
        draft_end_sample=16_200,
        hurried=True,
    ),
    "asr_result_v1.bin": work.AsrResult(
        session="s1",
        segment=3,
        window=7,
        kind="final",
        text="hello",
        words=(WORD,),
        language="en",
        language_probability=0.5,
        no_speech_probability=0.125,
        average_log_probability=-0.25,
        fallback="full_context",
        suppressed="repetition",
        model="base",
        worker="w1",
        timings=work.Timings(
            queue_s=0.5, batch_wait_s=0.25, features_s=0.125, encode_s=1.0, decode_s=2.0, batch_size=4
        ),
        failure=work.Failure(code="decode_failed", message="it raised"),
    ),
}

PRESENCE = {
    "worker_presence_v1.bin": presence.WorkerPresence(
        worker="w1",
        pool="std",
        model="base",
        slots=2,
        state="ready",
        aliases=("whisper-base",),
        free_slots=1,
        context_tokens=2048,
        final_load=0.5,
    )
}

SESSION: dict[str, session_record.SessionRecord | session_record.Takeover] = {
    "session_record_v2.json": session_record.SessionRecord(
        epoch=2,
        gateway="g1",
        token_sha256="9f86d081884c7d65",
        expires_at=1_790_000_000.0,
        start=client.SessionStart(audio=client.AudioFormat(sample_rate=8_000)),
        chat=client.ChatOptions(max_tokens=64),
        messages=(chat_work.ChatMessage("user", "hello"),),
        turns=4,
        answers=3,
    ),
    "takeover_v1.json": session_record.Takeover(session="s1", epoch=2),
}

RECORDS: dict[str, records.Record] = {
    "transcript_final_v1.json": records.TranscriptFinal(
        tenant="t1",
        session="s1",
        segment=3,
        channel=1,
        start_s=0.25,
        end_s=1.5,
        until_s=1.75,
        text="hello",
        language="en",
        task="transcribe",
        model="base",
        words=(WORD,),
    ),
    "segment_failed_v1.json": records.SegmentFailed(
        tenant="t1",
        session="s1",
        segment=3,
        channel=1,
        start_s=0.25,
        end_s=1.5,
        until_s=1.75,
        code="decode_failed",
        message="it raised",
    ),
    "session_resumed_v1.json": records.SessionResumed(tenant="t1", session="s1", epoch=2),
    **chat_messages.RECORDS,
}

CLIENT: dict[str, client.ClientMessage] = {
    "client_session_start_v1.json": client.SessionStart(
        audio=client.AudioFormat(encoding="mulaw", sample_rate=8_000, channels=2, channel_mode="separate"),
        language="en",
        task="translate",
        model="base",
        hotwords=("Harken", "NATS"),
        prompt="before",
        vad=client.VadOptions(threshold=0.5, endpoint_s=0.75, max_utterance_s=20.0, enabled=False),
        partials=False,
        word_times=False,
        chat=client.ChatOptions(instructions="be brief", model="smollm2", max_tokens=64, temperature=0.25, auto=False),
    ),
    "client_session_start_adaptive_v1.json": client.SessionStart(
        audio=client.AudioFormat(encoding="linear16", sample_rate=8_000),
        language="en",
        task="transcribe",
        model="base",
        hotwords=("Harken",),
        prompt="before",
        vad=client.VadOptions(endpoint_s=0.75, endpoint_mode="adaptive"),
        partials=False,
        word_times=False,
        chat=client.ChatOptions(instructions="be brief", model="smollm2", max_tokens=64, temperature=0.25, auto=False),
    ),
    "client_session_resume_v1.json": client.SessionResume(
        session="s1",
        token="opaque",
        seq=17,
        offset=24_000,
        segments=(3, 2),
        answer=client.HeldAnswer(answer=3, text="hel"),
    ),
    "client_audio_commit_v1.json": client.AudioCommit(),
    "client_audio_end_v1.json": client.AudioEnd(),
    **chat_messages.CLIENT,
}

EVENTS: dict[str, client.ServerEvent] = {
    "event_session_started_v1.json": client.SessionStarted(
        seq=1,
        session="s1",
        audio_offset=0,
        sample_rate=8_000,
        channels=2,
        model="base",
        limits=client.Limits(
            max_frame_bytes=65_536, max_session_s=3600.0, idle_timeout_s=60.0, max_buffered_audio_s=30.0
        ),
        chat_model="smollm2",
        resume=client.ResumeGrant(token="opaque", within_s=3600.0),
    ),
    "event_session_resumed_v1.json": client.SessionResumed(
        seq=18,
        session="s1",
        audio_offset=24_000,
        sample_rate=8_000,
        channels=2,
        model="base",
        limits=client.Limits(
            max_frame_bytes=65_536, max_session_s=3600.0, idle_timeout_s=60.0, max_buffered_audio_s=30.0
        ),
        chat_model="smollm2",
        resume=client.ResumeGrant(token="opaque", within_s=3600.0),
    ),
    "event_speech_started_v1.json": client.SpeechStarted(seq=2, segment=3, channel=1, start_s=0.25),
    "event_speech_ended_v1.json": client.SpeechEnded(seq=3, segment=3, channel=1, end_s=1.5),
    "event_transcript_partial_v1.json": client.TranscriptPartial(
        seq=4, segment=3, channel=1, start_s=0.25, end_s=1.0, stable="hel", text="hello", language="en"
    ),
    "event_transcript_final_v1.json": client.TranscriptFinal(
        seq=5,
        segment=3,
        channel=1,
        start_s=0.25,
        end_s=1.5,
        text="hello",
        words=(WORD,),
        language="en",
        model="base",
        times=client.StageTimes(
            endpoint_s=0.5, queue_s=0.25, batch_wait_s=0.125, encode_s=1.0, decode_s=2.0, publish_s=0.5, total_s=4.5
        ),
    ),
    "event_transcript_failed_v1.json": client.TranscriptFailed(
        seq=6, segment=4, channel=0, start_s=2.0, end_s=3.0, code="decode_failed", message="it raised"
    ),
    "event_audio_committed_v1.json": client.AudioCommitted(seq=7, offset=24_000, time_s=1.5),
    "event_session_ended_v1.json": client.SessionEnded(seq=8, reason="audio_end", audio_s=3.0, segments=2),
    "event_session_draining_v1.json": client.SessionDraining(seq=9, within_s=20.0),
    "event_error_v1.json": client.ErrorEvent(
        seq=10, code="unknown_model", message="no worker serves this model", retryable=False, fatal=True
    ),
    **chat_messages.EVENTS,
}
