"""Answers that came before the stream has been delivered up to their position. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from hubbub.wire import Answer


class Waiting:
    """Answers in the order in which they came, each once: what is repeated meanwhile is dropped."""

    def __init__(self) -> None:
        self._bundles: deque[tuple[int, int, list[Answer]]] = deque()  # term, position, answers
        self._nos: set[int] = set()

    def __len__(self) -> int:
        """How many answers wait."""
        return len(self._nos)

    def add(self, term: int, position: int, answers: list[Answer]) -> None:
        """Keep answers that are to be acted on once `position` of `term` is delivered."""
        nos = self._nos
        fresh = [answer for answer in answers if answer.no not in nos]
        if fresh:
            nos.update([answer.no for answer in fresh])
            self._bundles.append((term, position, fresh))

    def take(
        self, term: int, position: int, *, only: Callable[[Answer], bool] | None = None
    ) -> list[tuple[Answer, int]]:
        """The answers whose turn has come, each with its own position.

        Args:
            term: of the stream; those of an owner that is no more are dropped, since the same was
                asked again.
            position: up to which the stream is delivered.
            only: which do not have to wait for a room's log that is being read: its people lack
                what the others may speak of. None: all.
        """
        due: list[tuple[Answer, int]] = []
        later: deque[tuple[int, int, list[Answer]]] = deque()
        for bundle in self._bundles:
            if bundle[0] != term:
                continue
            held = bundle[2]
            if bundle[1] <= position:
                now = held if only is None else [one for one in held if only(one)]
                due += [(answer, bundle[1]) for answer in now]
                held = [] if only is None else [one for one in held if not only(one)]
            if held:
                later.append((term, bundle[1], held))
        self._bundles = later
        self._nos = {answer.no for bundle in later for answer in bundle[2]} if later else set()
        return due
