"""`harken chat` on a terminal: what was said scrolls by, what runs stands above the line being typed."""

import asyncio
import signal
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.application import in_terminal
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.shortcuts import print_formatted_text
from prompt_toolkit.styles import Style

from bus.contract.client_protocol import ChatOptions, ServerEvent, SessionStarted
from bus.contract.errors import HarkenError
from clients.cli.chat_effects import ClearLine, Effect, Leave, Open, Show, Span, Tone, Transmit
from clients.cli.chat_link import ChatLink, ChatSettings
from clients.cli.conversation import Conversation
from clients.cli.flow import printable, wrap

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
        self._lines: list[Span] = []
        self._something_to_print = asyncio.Event()
        self._reopen = asyncio.Event()
        self._began: asyncio.Future[HarkenError | None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Converse until the person leaves. Raises HarkenError if the first session does not open."""
        tasks = [asyncio.create_task(self._keep_open())]
        try:
            error = await self._began
            if error is not None:
                raise error
            tasks.append(asyncio.create_task(self._print_lines()))
            await self._converse()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._write_lines()

    def on_opened(self, started: SessionStarted) -> None:
        """Take it from the link, as all `on_` methods do."""
        self._perform(self._conversation.on_opened(started))
        if not self._began.done():
            self._began.set_result(None)

    def on_event(self, event: ServerEvent) -> None:
        """An event came."""
        self._conversation.columns = self._prompt.app.output.get_size().columns
        self._perform(self._conversation.on_event(event))

    def on_lost(self, error: HarkenError | None) -> None:
        """The session is over."""
        if not self._began.done():
            self._began.set_result(error)
        else:
            self._perform(self._conversation.on_lost(error))

    def on_microphone_lost(self, why: str) -> None:
        """The microphone gives no more."""
        self._perform(self._conversation.on_microphone_lost(why))

    async def _converse(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._leave)
        try:
            await self._prompt.prompt_async()
        except EOFError:
            pass  # the terminal is gone
        finally:
            loop.remove_signal_handler(signal.SIGTERM)

    async def _keep_open(self) -> None:
        while True:
            await self._link.run(self._options)
            await self._reopen.wait()
            self._reopen.clear()

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Show(lines=lines):
                    self._lines += lines
                    self._something_to_print.set()
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

    async def _print_lines(self) -> None:
        while True:
            await self._something_to_print.wait()
            async with in_terminal():
                self._write_lines()

    def _write_lines(self) -> None:
        self._something_to_print.clear()
        output = self._prompt.app.output
        lines, self._lines = self._lines, []
        for line in lines:
            text = printable(line.text)
            # An answer is cut to rows already, or is code, which the terminal itself must wrap.
            rows = [text] if line.tone is Tone.ANSWER else wrap(text, output.get_size().columns)
            for row in rows:
                print_formatted_text(
                    FormattedText([(f"class:{line.tone}", row)]),
                    style=self._style,
                    color_depth=self._prompt.color_depth,
                    output=output,
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
