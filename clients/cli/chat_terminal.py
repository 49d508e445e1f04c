"""`harken chat` on a terminal: what was said scrolls by, what runs stands above the line being typed."""

import asyncio
import signal
from collections.abc import Iterable
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.styles import Style

from bus.contract.client_protocol import ChatOptions, ServerEvent, SessionStarted
from bus.contract.errors import HarkenError
from clients.cli.chat_effects import ClearLine, Effect, Leave, Open, Show, Span, Tone, Transmit
from clients.cli.chat_link import ChatLink, ChatSettings
from clients.cli.conversation import Conversation
from clients.cli.flow import printable, wrap
from clients.sdk import ConnectionChange

_PROMPT: Final = "> "
_COLOURS: Final = Style.from_dict(
    {Tone.SAID: "bold", Tone.HEARD: "ansibrightblack", Tone.NOTE: "ansicyan", Tone.PROBLEM: "ansired"}
)


class ChatTerminal:
    """One conversation with a person at a terminal. `run` it once, in the event loop that made it."""

    def __init__(self, settings: ChatSettings, *, shows_figures: bool, colours: bool) -> None:
        self._conversation = Conversation(
            settings.chat, listens=settings.microphone is not None, shows_figures=shows_figures
        )
        self._link = ChatLink(settings, self)
        self._options = settings.chat
        self._style = _COLOURS if colours else Style([])
        self._prompt: PromptSession[str] = PromptSession(
            self._message,
            key_bindings=self._keys(),
            style=self._style,
            color_depth=None if colours else ColorDepth.DEPTH_1_BIT,
            erase_when_done=True,
            reserve_space_for_menu=0,
        )
        self._reopen = asyncio.Event()
        self._has_been_open = False
        self._refusal: HarkenError | None = None

    async def run(self) -> None:
        """Converse until the person leaves. Raises HarkenError if the first session does not open."""
        loop = asyncio.get_running_loop()
        link = asyncio.create_task(self._keep_open())
        loop.add_signal_handler(signal.SIGTERM, self._leave)
        try:
            # The keys are taken from the first moment on: what is typed before the session is open waits for it.
            await self._prompt.prompt_async()
        except EOFError:
            pass  # the terminal is gone
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            link.cancel()
            await asyncio.wait([link])
        if not link.cancelled():
            link.result()
        if self._refusal is not None:
            raise self._refusal

    def on_opened(self, started: SessionStarted) -> None:
        """Take it from the link, as all `on_` methods do."""
        self._has_been_open = True
        self._perform(self._conversation.on_opened(started))

    def on_event(self, event: ServerEvent) -> None:
        """An event came."""
        self._conversation.columns = self._prompt.app.output.get_size().columns
        self._perform(self._conversation.on_event(event))

    def on_lost(self, error: HarkenError | None) -> None:
        """The session is over. One that never opened is the end, for there is nothing to stay for."""
        if self._has_been_open:
            self._perform(self._conversation.on_lost(error))
        else:
            self._refusal = error
            self._leave()

    def on_connection(self, change: ConnectionChange) -> None:
        """The connection was lost, or found again."""
        self._perform(self._conversation.on_connection(change))

    def on_microphone_lost(self, why: str) -> None:
        """The microphone gives no more."""
        self._perform(self._conversation.on_microphone_lost(why))

    async def _keep_open(self) -> None:
        try:
            while True:
                await self._link.run(self._options)
                await self._reopen.wait()
                self._reopen.clear()
        finally:
            self._leave()  # a fault must not leave somebody typing into nothing

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Show(lines=lines):
                    self._print(lines)
                case Transmit(message=message):
                    if not self._link.transmit(message):
                        self._perform(self._conversation.on_not_sent())
                case Open(options=options):
                    self._reopen_with(options)
                case ClearLine():
                    self._prompt.default_buffer.reset()
                case Leave():
                    self._leave()
        self._prompt.app.invalidate()

    def _reopen_with(self, options: ChatOptions) -> None:
        self._options = options
        self._reopen.set()

    def _leave(self) -> None:
        if self._prompt.app.is_running and not self._prompt.app.is_done:
            self._prompt.app.exit(result="")

    def _print(self, lines: Iterable[Span]) -> None:
        """Print above the line being typed.

        The way of the library, `in_terminal`, gives the terminal back for that moment: what is typed in it is echoed,
        and a Ctrl-D is lost. Here the terminal stays as it is.
        """
        app = self._prompt.app
        if app.is_running:
            app.renderer.erase()
        for line in lines:
            text = printable(line.text)
            # An answer is cut to rows already, or is code, which the terminal itself must wrap.
            rows = [text] if line.tone is Tone.ANSWER else wrap(text, app.output.get_size().columns)
            for row in rows:
                print_formatted_text(
                    app.output,
                    FormattedText([(f"class:{line.tone}", f"{row}\n")]),
                    self._style,
                    color_depth=app.color_depth,
                )

    def _message(self) -> FormattedText:
        rows = [*self._conversation.live(), [Span(Tone.SAID, _PROMPT)]]
        spans = [span for index, row in enumerate(rows) for span in ([Span(Tone.NOTE, "\n")] if index else []) + row]
        return FormattedText((f"class:{span.tone}", printable(span.text)) for span in spans)

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter")
        def enter(event: KeyPressEvent) -> None:
            line = event.current_buffer.text
            event.current_buffer.reset(append_to_history=True)
            self._perform(self._conversation.on_line(line))

        @keys.add("c-c")
        @keys.add("<sigint>")
        def interrupt(event: KeyPressEvent) -> None:
            is_empty = not event.current_buffer.text
            self._perform(self._conversation.on_interrupt(line_is_empty=is_empty))

        @keys.add("c-d")
        def end_of_input(event: KeyPressEvent) -> None:
            if event.current_buffer.text:
                event.current_buffer.delete()
            else:
                self._perform(self._conversation.on_end_of_input())

        return keys
