"""A terminal that obeys no escape sequences: lines as they come, and no prompt."""

from __future__ import annotations

import contextlib
import os
import termios
from collections.abc import AsyncIterator, Iterator

from hubbub.cli.render import Shown, visible

LFLAG = 3  # of what termios.tcgetattr gives


def is_plain() -> bool:
    """Whether the terminal is of such a kind, as that inside an editor."""
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


class PlainTerminal:
    """The screen of a conversation. The terminal itself echoes what is typed.

    Args:
        descriptor: the terminal.
        typed: the lines that are typed there; a password is the next of them.
    """

    def __init__(self, descriptor: int, typed: AsyncIterator[str]) -> None:
        self._descriptor = descriptor
        self._typed = typed

    def show(self, line: Shown) -> None:
        """One line of the conversation."""
        print(f"{line.text} #{line.number}" if line.number else line.text, flush=True)

    def tell(self, text: str) -> None:
        """One line about it."""
        print(f"! {visible(text)}", flush=True)

    def ring(self) -> None:
        """The bell of the terminal."""
        print("\a", end="", flush=True)

    def redraw(self) -> None:
        """Nothing is drawn."""

    def end(self) -> None:
        """What is read ends by itself."""

    async def secret(self, what: str) -> str | None:
        """The next line, typed unseen; None when there is none."""
        with _unseen(self._descriptor):
            print(f"{visible(what)}: ", end="", flush=True)
            secret = await anext(self._typed, None)
        print(flush=True)  # the end of the line was not echoed either
        return secret


@contextlib.contextmanager
def _unseen(descriptor: int) -> Iterator[None]:
    before = termios.tcgetattr(descriptor)
    now = list(before)
    now[LFLAG] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, now)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
