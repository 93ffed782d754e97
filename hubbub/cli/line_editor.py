"""The line that a person types into, which nothing printed meanwhile may tear."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout

from hubbub.cli.common import state_dir


class LineEditor:
    """A prompt at the bottom; while it is entered, `print` writes above it.

    Args:
        prompt: gives what stands before the typed line.
    """

    def __init__(self, prompt: Callable[[], str]) -> None:
        # A sent line comes back in its numbered place, so the typed one is wiped.
        self._session: PromptSession[str] = PromptSession(
            prompt, history=_history(), erase_when_done=True
        )
        # Not raw: should an escape ever slip through, it is printed as "?".
        self._patch = patch_stdout()

    def __enter__(self) -> LineEditor:
        self._patch.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._patch.__exit__(kind, error, trace)

    async def lines(self) -> AsyncIterator[str]:
        """Typed lines until Ctrl-D, or Ctrl-C on an empty line; on another Ctrl-C wipes it."""
        while True:
            try:
                line = await self._session.prompt_async()
            except EOFError:
                return
            except KeyboardInterrupt:
                if not self._session.default_buffer.text:
                    return
                continue
            yield line

    def redraw(self) -> None:
        """The prompt may have changed."""
        self._session.app.invalidate()


def _history() -> History:
    try:
        path = state_dir() / "chat-history"
        # What one says is nobody else's business.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        Path(path).chmod(0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)
