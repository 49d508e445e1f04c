"""`harken chat`: a conversation with the assistant, typed or spoken."""

import asyncio
import os
import sys

import click

from bus.contract.client_protocol import ChatOptions
from bus.contract.errors import HarkenError
from clients.cli.chat_advice import explain
from clients.cli.chat_lines import EXIT_OK, answer_all, answer_speech, only, standard_input
from clients.cli.chat_link import ChatSettings
from clients.cli.microphone import Microphone, MicrophoneError

DEFAULT_URL = "ws://127.0.0.1:8080/v1/stream"
EXIT_INTERRUPTED = 130
_DEFAULTS = ChatOptions()


@click.command(epilog="Exit status: 0 all answered, 1 something failed, 2 wrong usage, 130 interrupted.")
@click.option("--once", metavar="TEXT", help="Ask this one thing, and write the answer to stdout.")
@click.option("--mic", is_flag=True, help="Speak: what the microphone hears is answered.")
@click.option("--device", metavar="NAME|NUMBER", help="Microphone to listen to; default: the system's.")
@click.option(
    "--url",
    "urls",
    envvar="HARKEN_URL",
    multiple=True,
    default=(DEFAULT_URL,),
    show_default=True,
    show_envvar=True,
    help="Service address; several, repeated or with commas between, are tried in turn.",
)
@click.option("--key", envvar="HARKEN_API_KEY", show_envvar=True, help="API key, if the service wants one.")
@click.option("--model", help="Model that answers; default: the service's.")
@click.option("--system", metavar="TEXT", default="", help="Instructions for the assistant.")
@click.option(
    "--max-tokens",
    type=click.IntRange(1, 32_768),
    default=_DEFAULTS.max_tokens,
    show_default=True,
    help="Longest answer.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(0, 2),
    default=_DEFAULTS.temperature,
    show_default=True,
    help="0 always takes the most probable token.",
)
@click.option("--language", metavar="CODE", help="Language spoken, such as en; default: detect it.")
@click.option("--stats", is_flag=True, help="Show how fast each answer came.")
@click.option("--no-color", is_flag=True, help="No colours; so does NO_COLOR in the environment.")
@click.pass_context
def chat(
    ctx: click.Context,
    *,
    once: str | None,
    mic: bool,
    device: str | None,
    urls: tuple[str, ...],
    key: str | None,
    model: str | None,
    system: str,
    max_tokens: int,
    temperature: float,
    language: str | None,
    stats: bool,
    no_color: bool,
) -> None:
    """Talk with the assistant, by keyboard or microphone.

    Answers come word by word. Enter, a new line or your voice stops one that runs; Ctrl-C does too, and leaves when
    nothing runs. /help lists the commands. Without a terminal each line of standard input is a turn, and stdout has
    the answers.
    """
    if once is not None and mic:
        raise click.UsageError("--once and --mic exclude one another")
    if once is not None and not once.strip():
        raise click.UsageError("--once needs something to ask")
    if device is not None and not mic:
        raise click.UsageError("--device goes with --mic")
    options = ChatOptions(instructions=system, model=model, max_tokens=max_tokens, temperature=temperature, auto=mic)
    colours = not no_color and not os.environ.get("NO_COLOR")
    try:
        settings = ChatSettings(
            urls=urls, key=key, language=language, chat=options, microphone=Microphone.find(device) if mic else None
        )
        ctx.exit(asyncio.run(_converse(settings, once, shows_figures=stats, colours=colours)))
    except KeyboardInterrupt:
        # With a microphone and no terminal there is no other way to leave.
        ctx.exit(EXIT_OK if mic else EXIT_INTERRUPTED)
    except HarkenError as error:
        raise click.ClickException(explain(error)) from error
    except MicrophoneError as error:
        raise click.ClickException(str(error)) from error
    except BrokenPipeError:
        raise  # whoever read stdout has enough: click ends the process without a word
    except OSError as error:
        raise click.ClickException(f"the answer cannot be written: {error.strerror or error}") from error


async def _converse(settings: ChatSettings, once: str | None, *, shows_figures: bool, colours: bool) -> int:
    if once is not None:
        return await answer_all(settings, only([once]), shows_figures=shows_figures)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        if settings.microphone is not None:
            return await answer_speech(settings, settings.microphone, shows_figures=shows_figures)
        return await answer_all(settings, standard_input(), shows_figures=shows_figures)
    from clients.cli.chat_terminal import ChatTerminal  # loaded only where somebody types

    await ChatTerminal(settings, shows_figures=shows_figures, colours=colours).run()
    return EXIT_OK
