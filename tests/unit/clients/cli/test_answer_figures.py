from clients.cli.answer_figures import figures_line, figures_table, tokens_per_s
from tests.unit.clients.events import done


def test_the_speed_leaves_out_the_queue_and_the_prompt() -> None:
    assert tokens_per_s(done(1, completion_tokens=9, total_s=1.875)) == 6.0


def test_an_answer_that_took_no_time_has_no_speed() -> None:
    assert tokens_per_s(done(1, total_s=0.375)) is None


def test_the_figures_of_an_answer_are_a_line() -> None:
    assert figures_line(done(1, completion_tokens=9, total_s=1.875)) == (
        "first token 0.50 s, 6.0 tokens/s, queue 0.12 s, prompt 40 tokens (30 cached), answer 9 tokens, smollm2"
    )
    assert "first token 0.50 s, -, queue" in figures_line(done(1, total_s=0.0))


def test_the_figures_of_several_answers_are_a_table() -> None:
    answers = [done(1, answer=9, completion_tokens=9, total_s=1.875), done(2, answer=10, total_s=0.0)]
    assert figures_table(answers) == [
        "answer  first token  tokens/s   queue   total  prompt  cached  tokens    model",
        "     9       0.50 s       6.0  0.12 s  1.88 s      40      30       9  smollm2",
        "    10       0.50 s         -  0.12 s  0.00 s      40      30      21  smollm2",
    ]
