"""The line that a person types into, which nothing printed meanwhile may tear."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import DummyHistory, FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import get_cwidth

from hubbub.cli.commands import asks_secret
from hubbub.cli.common import state_dir
from hubbub.cli.completer import Known, Offer, complete
from hubbub.cli.render import Shown, visible

if TYPE_CHECKING:
    from hubbub.cli.conversation import Conversation

REPAINT_AFTER = 0.02  # seconds in which lines gather, so that a flood moves the prompt less often
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
LOUD, QUIET, DIM = "bold ansiyellow", "fg:ansicyan", "dim"
Fragments: TypeAlias = list[tuple[str, str]]


class LineEditor:
    """A prompt at the bottom; what is shown is written above it. The screen of a conversation.

    Args:
        history: what is typed is kept in a file, for the arrow keys of the next time.
    """

    def __init__(self, *, history: bool = True) -> None:
        self._talk: Conversation | None = None
        self._tab: Callable[[], None] = lambda: None
        # A sent line comes back in its numbered place, so the typed one is wiped.
        self._session: PromptSession[str] = PromptSession(
            self._message,
            history=_history() if history else InMemoryHistory(),
            erase_when_done=True,
            completer=_Tab(self._complete),
            complete_style=CompleteStyle.READLINE_LIKE,
            complete_while_typing=False,
            enable_suspend=True,
            key_bindings=_keys(),
        )
        # Without what one types into it: a password.
        self._asking: PromptSession[str] = PromptSession(
            history=DummyHistory(),
            is_password=True,
            erase_when_done=True,
            enable_suspend=True,
            key_bindings=_keys(),
        )
        self._lines: list[Shown] = []
        self._printing: asyncio.TimerHandle | None = None
        self._raw = contextlib.ExitStack()
        self._ended = False
        # For what others print, as the interpreter itself; it escapes what it is given.
        self._patch = patch_stdout()

    def attend(
        self, talk: Conversation, *, typed: Callable[[str], None], tab: Callable[[], None]
    ) -> None:
        """Be the screen of `talk`; tell of each change of the line, and of the Tab key."""
        self._talk = talk
        self._tab = tab
        self._session.default_buffer.on_text_changed += lambda buffer: typed(buffer.text)

    async def __aenter__(self) -> LineEditor:
        self._patch.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._raw.close()
        self._print()
        self._patch.__exit__(kind, error, trace)

    # --- typing --------------------------------------------------------------------------------

    async def lines(self) -> AsyncIterator[str]:
        """Typed lines until Ctrl-D, or Ctrl-C on an empty line; on another Ctrl-C wipes it."""
        # Also between two prompts, or the terminal would echo what is typed just then.
        self._raw.enter_context(self._session.input.raw_mode())
        while not self._ended:
            try:
                line = await self._session.prompt_async()
            except EOFError:
                break
            except KeyboardInterrupt:
                if not self._session.default_buffer.text:
                    break
                continue
            yield line
        self._raw.close()  # so that Ctrl-C ends a wait for what is on its way

    async def secret(self, what: str) -> str | None:
        """What is typed unseen, and kept nowhere; None when the person would rather not."""
        try:
            return await self._asking.prompt_async(f"{visible(what)}: ")
        except (EOFError, KeyboardInterrupt):
            return None
        finally:
            self._asking.default_buffer.reset()

    def end(self) -> None:
        """No further line is asked for."""
        self._ended = True
        if self._session.app.is_running:
            with contextlib.suppress(Exception):  # it is ending already
                self._session.app.exit(exception=EOFError())

    # --- showing -------------------------------------------------------------------------------

    def show(self, line: Shown) -> None:
        """One line above the prompt."""
        self._lines.append(line)
        if not self._active():
            self._print()
        elif self._printing is None:
            self._printing = asyncio.get_running_loop().call_later(REPAINT_AFTER, self._print)

    def tell(self, text: str) -> None:
        """What is wrong, or how the connection is."""
        self.show(Shown(f"! {visible(text)}", quiet=True))

    def ring(self) -> None:
        """The bell of the terminal."""
        self._session.output.bell()
        self._session.output.flush()

    def redraw(self) -> None:
        """The prompt, what is pending, or the toolbar may have changed."""
        if self._talk is not None:
            self._session.bottom_toolbar = self._talk.toolbar() or None
        self._session.app.invalidate()

    def _print(self) -> None:
        """Print what there is, above the prompt if there is one."""
        if self._printing is not None:
            self._printing.cancel()
            self._printing = None
        lines, self._lines = self._lines, []
        if not lines:
            return
        # Not by run_in_terminal: it gives the terminal back for a moment, which then echoes.
        active = self._active()
        for app in active:
            app.renderer.erase()
        fragments = [part for line in lines for part in (*_fragments(line), ("", "\n"))]
        print_formatted_text(self._session.output, FormattedText(fragments), Style([]))
        for app in active:
            app.renderer.request_absolute_cursor_position()
            app.invalidate()

    def _active(self) -> list[Application[str]]:
        """The prompt that is on the screen, if there is one."""
        return [each.app for each in (self._session, self._asking) if each.app.is_running]

    def _message(self) -> FormattedText:
        if self._talk is None:
            return FormattedText()
        columns = self._session.output.get_size().columns
        pending = [(DIM, f"{_fit(line, columns)} …\n") for line in self._talk.own.lines()]
        return FormattedText([*pending, ("", f"{visible(self._talk.room)}> ")])

    def _complete(self, before: str) -> Offer:
        self._tab()
        return complete(before, Known() if self._talk is None else self._talk.known())


def _fit(line: str, columns: int) -> str:
    """As much of the line as one row has room for, before the mark of what is pending."""
    left = columns - 3
    for at, character in enumerate(line):
        left -= get_cwidth(character)  # of a whole line it would be kept for ever, as of a part
        if left < 0:
            return line[:at]
    return line


def _fragments(line: Shown) -> Fragments:
    style = LOUD if line.loud else QUIET if line.quiet else ""
    number = [(DIM, f" #{line.number}")] if line.number else []
    return [(style, line.text), *number]


def _keys() -> KeyBindings:
    """No control character gets into the line, but for the line ends and tabs of what is pasted."""
    keys = KeyBindings()

    @keys.add("c-q")  # would take the next key as text, whichever it is
    def _ignore(event: KeyPressEvent) -> None:
        pass

    @keys.add(Keys.BracketedPaste)
    def _paste(event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        event.current_buffer.insert_text(_CONTROL.sub("", text))

    return keys


class _Tab(Completer):
    """Hands the Tab key to hubbub.cli.completer."""

    def __init__(self, ask: Callable[[str], Offer]) -> None:
        self._ask = ask

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        found = self._ask(document.text_before_cursor)
        return [Completion(text, start_position=-found.back) for text in found.texts]


class _History(FileHistory):
    """What was typed, without the lines that have to do with passwords."""

    def append_string(self, string: str) -> None:
        if not asks_secret(string):
            super().append_string(string)


def _history() -> History:
    try:
        path = state_dir() / "chat-history"
        # What one says is nobody else's business.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        Path(path).chmod(0o600)
    except OSError:
        return InMemoryHistory()
    return _History(path)
