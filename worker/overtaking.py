"""What must not be done before something that was refused and is asked again. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from hubbub.errors import Code
from hubbub.frames import Error
from hubbub.wire import Lost
from worker.lookups import Input, task_of
from worker.tasks import Task

NOTHING_STORED = Error(Code.UNAVAILABLE, "the server cannot store anything now; try again later")
LASTS = 2.0  # seconds; then whoever has not asked again may be overtaken


class Overtaking:
    """Whose changes came to nothing lately, because nothing could be stored.

    They are asked again, and what the same session had sent behind them is not to be done before
    that: it is refused, too, and then asked again in its order. What a session sends once its
    gateway has the refusal is told by its batch (`first`); a batch that is repeated was made at
    an unknown time before.
    """

    def __init__(self) -> None:
        self._refused: dict[tuple[str, int], tuple[int, float]] = {}  # -> newest batch, until when

    def undone(
        self, inputs: Sequence[Input], waiting: Sequence[Input], now: float
    ) -> tuple[list[Task], list[Input]]:
        """A turn failed: whom to refuse, and what has to be decided still, in its order.

        What has happened is to be decided again, whether it can be stored now or later.

        Args:
            inputs: those of the turn.
            waiting: what has come since.
        """
        self._refused = {key: one for key, one in self._refused.items() if one[1] > now}
        refused: list[Task] = []
        left: list[Input] = []
        for each in inputs:
            task = task_of(each)
            if task is None or isinstance(task.ask.frame, Lost):
                left.append(each)
                continue
            refused.append(task)
            if _is_ordered(task):
                self._refused[task.gateway, task.ask.session] = task.number, now + LASTS
        for each in waiting:
            if isinstance(each, Task) and self.overtakes(each, now):
                refused.append(each)
            else:
                left.append(each)
        return refused, left

    def overtakes(self, task: Task, now: float) -> bool:
        """Whether this was sent behind something that was refused; then it is to be refused."""
        key = task.gateway, task.ask.session
        found = self._refused.get(key)
        if found is None or not _is_ordered(task):
            return False
        number, until = found
        if now >= until or task.first > number:
            del self._refused[key]
            return False
        self._refused[key] = max(number, task.number), until
        return True


def _is_ordered(task: Task) -> bool:
    return task.ask.session > 0 and hasattr(task.ask.frame, "id")
