import pytest

from bus.contract.client_protocol import (
    AudioCommit,
    ChatCancel,
    ChatConfigure,
    ChatRequest,
    ChatReset,
    ChatSend,
    ErrorEvent,
    SessionDraining,
    SpeechEnded,
    SpeechStarted,
)
from clients.cli.chat_commands import COMMAND_ROWS
from clients.cli.chat_effects import ClearLine, Leave, Show, Tone, Transmit
from clients.cli.conversation import MAX_FIGURES, Conversation
from clients.connection_changes import Reconnected, Reconnecting
from clients.failures import ConnectionLost
from tests.unit.clients.cli.conversations import OPTIONS, answering, feed, live, opened, sent, shown, texts
from tests.unit.clients.events import (
    cancelled,
    chat_failed,
    chat_started,
    committed,
    delta,
    done,
    ended,
    failed,
    final,
    partial,
    resumed,
    started,
    turn_stored,
)

MOVED = Reconnected(0.0)


def test_the_beginning_names_who_answers() -> None:
    conversation = Conversation(OPTIONS, listens=False, shows_figures=False)
    rows = [live(conversation)]
    assert texts(conversation.on_opened(started(chat_model="smollm2"))) == [
        "smollm2 answers; /help lists the commands, Ctrl-D leaves"
    ]
    assert [*rows, live(conversation)] == [["connecting"], []]


def test_what_is_typed_before_the_session_is_open_is_sent_when_it_is() -> None:
    conversation = Conversation(OPTIONS, listens=False, shows_figures=False)
    assert sent(conversation.on_line("hi")) == [ChatSend(text="hi")]


def test_the_beginning_says_if_nobody_can_answer() -> None:
    conversation = Conversation(OPTIONS, listens=False, shows_figures=False)
    assert texts(conversation.on_opened(started())) == ["/help lists the commands, Ctrl-D leaves"]
    notice = ErrorEvent(seq=2, code="no_worker", message="nobody is there", retryable=True, fatal=False)
    assert feed(conversation, notice) == ["nobody is there. Start one with: harken up"]


def test_a_typed_line_is_shown_and_sent_and_its_answer_comes_row_by_row() -> None:
    conversation = opened()
    effects = conversation.on_line("hi\nthere")
    assert shown(effects) == ["> hi", "> there"]
    assert sent(effects) == [ChatSend(text="hi\nthere")]
    assert (conversation.is_busy, live(conversation)) == (True, ["..."])
    assert feed(conversation, chat_started(2)) == []
    assert live(conversation) == ["..."]
    assert feed(conversation, delta(3, "one two three four fi")) == ["one two three four"]
    assert live(conversation) == ["fi"]
    assert feed(conversation, delta(4, "ve"), done(5)) == ["five"]
    assert (conversation.is_busy, live(conversation)) == (False, [])


def test_the_width_of_the_terminal_may_change_at_any_time() -> None:
    conversation = answering("one two three")
    conversation.columns = 7
    assert feed(conversation, delta(4, " f")) == ["one two"]
    assert live(conversation) == ["three f"]


@pytest.mark.parametrize("line", ["", "/cancel"])
def test_enter_stops_an_answer_and_is_said_once(line: str) -> None:
    conversation = answering()
    assert sent(conversation.on_line(line)) == [ChatCancel()]
    assert conversation.on_line("") == []
    assert feed(conversation, delta(4, "."), cancelled(5)) == ["Some words.", "(stopped)"]
    assert not conversation.is_busy


def test_an_answer_that_has_not_begun_can_be_stopped_too() -> None:
    conversation = opened()
    conversation.on_line("hi")
    assert sent(conversation.on_line("")) == [ChatCancel()]
    assert feed(conversation, chat_started(2), cancelled(3)) == ["(stopped)"]


def test_an_answer_stopped_before_it_began_may_never_be_mentioned() -> None:
    conversation = opened()
    conversation.on_line("hi")
    conversation.on_line("")
    assert not conversation.is_busy


def test_there_may_be_nothing_to_stop() -> None:
    conversation = opened()
    assert conversation.on_line("") == []
    assert texts(conversation.on_line("/cancel")) == ["no answer is running"]


def test_ctrl_c_stops_the_answer_then_empties_the_line_then_leaves() -> None:
    conversation = answering()
    assert conversation.on_interrupt(line_is_empty=False) == [Transmit(ChatCancel())]
    feed(conversation, cancelled(4))
    assert conversation.on_interrupt(line_is_empty=False) == [ClearLine()]
    assert conversation.on_interrupt(line_is_empty=True) == [Leave()]


def test_a_second_ctrl_c_leaves_although_the_answer_does_not_stop() -> None:
    conversation = answering()
    conversation.on_interrupt(line_is_empty=True)
    assert conversation.on_interrupt(line_is_empty=True) == [Leave()]


def test_a_line_typed_into_an_answer_stops_it_and_is_shown_after_what_came_of_it() -> None:
    conversation = answering()
    effects = conversation.on_line("no, wait")
    assert (shown(effects), sent(effects)) == ([], [ChatSend(text="no, wait")])
    assert feed(conversation, delta(4, " more"), cancelled(5, reason="turn")) == [
        "Some words more",
        "(stopped)",
        "> no, wait",
    ]
    assert conversation.is_busy
    assert feed(conversation, chat_started(6, answer=2), delta(7, "Yes", answer=2), done(8, answer=2)) == ["Yes"]


def test_an_answer_stopped_by_a_line_before_its_first_word_is_not_mentioned() -> None:
    conversation = opened()
    conversation.on_line("one")
    conversation.on_line("two")
    assert feed(conversation, chat_started(2), cancelled(3, reason="turn"), chat_started(4, answer=2)) == []


def test_a_new_line_after_a_stop_can_be_stopped_as_well() -> None:
    conversation = answering()
    conversation.on_interrupt(line_is_empty=True)
    conversation.on_line("next")
    assert conversation.on_interrupt(line_is_empty=True) == [Transmit(ChatCancel())]


def test_what_is_said_stands_live_until_it_is_final_and_is_answered() -> None:
    conversation = opened(listens=True)
    rows = [live(conversation)]
    feed(conversation, SpeechStarted(seq=2, segment=1, channel=0, start_s=0.0))
    feed(conversation, partial(3, stable="what is", text="what is it"))
    rows.append(live(conversation))
    feed(conversation, SpeechEnded(seq=4, segment=1, channel=0, end_s=1.0))
    said = feed(conversation, final(5, text=" What is it? "))
    rows.append(live(conversation))
    assert rows == [["listening"], ["> what is| it"], ["listening"]]
    assert said == ["> What is it?"]
    assert feed(conversation, chat_started(6), delta(7, "It is."), done(8)) == ["It is."]


def test_of_a_long_utterance_the_newest_part_is_live() -> None:
    conversation = opened(listens=True)
    feed(conversation, partial(2, stable="a" * 300, text="a" * 300 + "tail"))
    assert live(conversation) == ["> " + "a" * 236 + "|tail"]


def test_speaking_into_an_answer_stops_it() -> None:
    conversation = answering(listens=True)
    speech = SpeechStarted(seq=4, segment=1, channel=0, start_s=0.0)
    assert feed(conversation, speech, cancelled(5, reason="speech")) == ["Some words", "(stopped)"]


def test_what_was_said_while_an_answer_runs_is_shown_after_it() -> None:
    conversation = answering(listens=True)
    assert feed(conversation, final(4, text="and now?"), failed(5)) == []
    assert feed(conversation, done(6)) == [
        "Some words",
        "> and now?",
        "what you said has no transcript: gave up",
    ]


def test_an_utterance_without_words_is_not_mentioned() -> None:
    assert feed(opened(listens=True), final(2, text=" ")) == []


def test_enter_ends_what_is_being_said() -> None:
    conversation = opened(listens=True)
    feed(conversation, SpeechStarted(seq=2, segment=1, channel=0, start_s=0.0))
    assert sent(conversation.on_line("")) == [AudioCommit()]
    feed(conversation, SpeechEnded(seq=3, segment=1, channel=0, end_s=1.0))
    assert conversation.on_line("") == []


def test_a_microphone_that_goes_away_leaves_the_keyboard() -> None:
    conversation = opened(listens=True)
    assert texts(conversation.on_microphone_lost("the microphone went away")) == [
        "the microphone went away; type instead"
    ]
    assert live(conversation) == []


def test_a_failed_answer_can_be_asked_for_again() -> None:
    conversation = answering()
    assert feed(conversation, chat_failed(4)) == ["Some words", "no answer: it broke off; /retry asks again"]
    states = [conversation.is_busy]
    assert sent(conversation.on_line("/retry")) == [ChatRequest()]
    states.append(conversation.is_busy)
    refusal = ErrorEvent(seq=5, code="nothing_to_answer", message="nothing to answer", retryable=False, fatal=False)
    assert feed(conversation, refusal) == ["nothing to answer"]
    assert [*states, conversation.is_busy] == [False, True, False]


def test_trouble_of_the_service_does_not_end_the_wait_for_an_answer() -> None:
    conversation = opened()
    conversation.on_line("hi")
    feed(conversation, ErrorEvent(seq=2, code="no_worker", message="nobody", retryable=True, fatal=False))
    assert conversation.is_busy


def test_an_answer_that_was_cut_says_by_what() -> None:
    assert feed(answering(), done(4, finish_reason="length")) == [
        "Some words",
        "(cut: the answer has as many tokens as --max-tokens or the model allow)",
    ]


def test_figures_are_shown_with_each_answer_if_wanted() -> None:
    conversation = opened(shows_figures=True)
    assert "tokens/s" in feed(conversation, chat_started(2), done(3))[0]


def test_the_figures_of_the_last_answers_are_a_table() -> None:
    conversation = opened()
    assert texts(conversation.on_line("/stats")) == ["no answer yet"]
    for answer in range(1, MAX_FIGURES + 3):
        feed(conversation, chat_started(answer, answer=answer), done(answer, answer=answer))
    lines = texts(conversation.on_line("/stats"))
    assert [line.split()[0] for line in lines] == ["answer", *map(str, range(3, MAX_FIGURES + 3))]


def test_new_forgets_the_conversation_after_what_was_said() -> None:
    conversation = answering()
    effects = conversation.on_line("/new")
    assert (shown(effects), sent(effects)) == ([], [ChatReset()])
    assert feed(conversation, cancelled(4)) == ["Some words", "(stopped)", "a new conversation"]
    assert shown(conversation.on_line("/new")) == ["a new conversation"]


def test_instructions_are_shown_changed_and_taken_away() -> None:
    conversation = opened()
    assert texts(conversation.on_line("/system")) == ["Be brief."]
    assert sent(conversation.on_line("/system Rhyme.")) == [ChatConfigure(instructions="Rhyme.")]
    assert texts(conversation.on_line("/system")) == ["Rhyme."]
    assert sent(conversation.on_line('/system ""')) == [ChatConfigure(instructions="")]
    assert texts(conversation.on_line("/system")) == ["no instructions"]


def test_the_model_is_shown_and_changed() -> None:
    conversation = opened()
    assert texts(conversation.on_line("/model")) == ["smollm2"]
    effects = conversation.on_line("/model llama")
    assert (sent(effects), shown(effects)) == ([ChatConfigure(model="llama")], ["llama from the next answer on"])
    feed(conversation, chat_started(2, model="llama"), done(3))
    assert texts(conversation.on_line("/model")) == ["llama"]


def test_a_model_that_there_is_not_is_forgotten_again() -> None:
    conversation = opened()
    conversation.on_line("/model llama")
    problem = ErrorEvent(seq=2, code="unknown_model", message="there is: smollm2", retryable=False, fatal=False)
    assert feed(conversation, problem) == ["there is: smollm2"]
    assert texts(conversation.on_line("/model")) == ["smollm2"]


def test_no_model_is_known_before_one_has_answered() -> None:
    conversation = Conversation(OPTIONS, listens=False, shows_figures=False)
    conversation.on_opened(started())
    assert texts(conversation.on_line("/model")) == ["no model has answered yet"]


def test_help_lists_every_command() -> None:
    lines = texts(opened().on_line("/help"))
    assert [line.split("  ")[0] for line in lines] == [name for name, _ in COMMAND_ROWS]


def test_an_unknown_command_is_no_turn() -> None:
    assert texts(opened().on_line("/hlep me")) == ["there is no /hlep: /help lists the commands, //hlep says it"]


def test_quit_and_ctrl_d_leave() -> None:
    assert opened().on_line("/quit") == opened().on_end_of_input() == [Leave()]


def test_events_that_concern_no_person_show_nothing() -> None:
    assert feed(opened(), started(2), committed(3, 10), ended(4)) == []


def test_a_service_that_goes_away_says_so() -> None:
    assert feed(opened(), SessionDraining(seq=2, within_s=8.0)) == [
        "the service is going away: this conversation ends within 8 s"
    ]


def test_each_line_has_the_tone_of_what_it_is() -> None:
    conversation = answering()
    effects = conversation.on_event(chat_failed(4))
    assert isinstance(effects[0], Show)
    assert [line.tone for line in effects[0].lines] == [Tone.ANSWER, Tone.PROBLEM]


def test_a_lost_connection_is_mentioned_and_nothing_else_changes() -> None:
    conversation = opened()
    conversation.on_line("hi")
    notes = [texts(conversation.on_connection(change)) for change in (Reconnecting(ConnectionLost("cut")), MOVED)]
    assert notes == [["connection lost; reconnecting"], []]
    assert conversation.is_busy
    assert feed(conversation, turn_stored(2)) == []


def test_what_was_being_said_begins_again_after_a_resume() -> None:
    conversation = opened(listens=True)
    feed(conversation, SpeechStarted(seq=2, segment=1, channel=0, start_s=0.0), partial(3, text="hello"))
    feed(conversation, resumed(4))
    assert live(conversation) == live(opened(listens=True))
    assert sent(conversation.on_line("")) == []
