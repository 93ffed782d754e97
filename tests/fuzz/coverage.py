"""Which lines of some modules are reached for the first time.

From Python 3.12 on `sys.monitoring` tells of each line once and costs nothing afterwards; before
that `sys.settrace` tells of it always, in the modules that are looked at and nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Protocol, TypeAlias

Line: TypeAlias = tuple[str, int]  # file, line


class Coverage(Protocol):
    """Notes lines between `begin` and `end`."""

    def begin(self) -> None:
        """Look from now on."""

    def end(self) -> set[Line]:
        """Look no longer; the lines that were reached for the first time since it was made."""

    def close(self) -> None:
        """Give back what the interpreter lent."""


def of(modules: Iterable[ModuleType]) -> Coverage:
    """The coverage of these modules: the cheapest that this interpreter has."""
    if sys.version_info >= (3, 12):
        return _Monitored(modules)
    return _Traced(modules)


class _Traced:
    """By `sys.settrace`, which a debugger wants for itself, too: it gets it back."""

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        self._files = {str(module.__file__) for module in modules}
        self._seen: set[Line] = set()
        self._new: set[Line] = set()
        self._before: Any = None

    def begin(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._call)

    def end(self) -> set[Line]:
        sys.settrace(self._before)
        new, self._new = self._new, set()
        return new

    def close(self) -> None:
        """Nothing was lent."""

    def _call(self, frame: FrameType, event: str, argument: object) -> Any:
        return self._line if frame.f_code.co_filename in self._files else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            line = (frame.f_code.co_filename, frame.f_lineno)
            if line not in self._seen:
                self._seen.add(line)
                self._new.add(line)
        return self._line


if sys.version_info >= (3, 12):

    class _Monitored:
        """By `sys.monitoring` (PEP 669)."""

        def __init__(self, modules: Iterable[ModuleType]) -> None:
            monitoring = sys.monitoring
            # Those below 3 have names of their own: debuggers, coverage, profilers.
            self._tool = next(one for one in (3, 4) if monitoring.get_tool(one) is None)
            monitoring.use_tool_id(self._tool, "hubbub fuzz")
            monitoring.register_callback(self._tool, monitoring.events.LINE, self._line)
            self._seen: set[Line] = set()
            self._new: set[Line] = set()
            self._codes = {code for module in modules for code in codes_of(module)}
            for code in self._codes:
                monitoring.set_local_events(self._tool, code, monitoring.events.LINE)
            monitoring.restart_events()  # of lines that an earlier one was told of

        def begin(self) -> None:
            self._new.clear()  # of what was run without being looked at

        def end(self) -> set[Line]:
            new, self._new = self._new, set()
            return new

        def close(self) -> None:
            for code in self._codes:
                sys.monitoring.set_local_events(self._tool, code, 0)
            sys.monitoring.free_tool_id(self._tool)

        def _line(self, code: CodeType, number: int) -> object:
            line = (code.co_filename, number)
            if line not in self._seen:
                self._seen.add(line)
                self._new.add(line)
            return sys.monitoring.DISABLE


def codes_of(module: ModuleType) -> set[CodeType]:
    """The code of every function that a module defines, also in classes and in functions."""
    found: set[CodeType] = set()
    waiting: list[object] = list(vars(module).values())
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, CodeType):
            if one.co_filename == module.__file__:
                found.add(one)
                waiting += one.co_consts
        elif isinstance(one, FunctionType):
            waiting.append(one.__code__)
        elif isinstance(one, property):
            waiting += [one.fget, one.fset]
        elif isinstance(one, classmethod | staticmethod):
            waiting.append(one.__func__)
        elif isinstance(one, type) and one.__module__ == module.__name__:
            waiting += vars(one).values()
        elif hasattr(one, "__wrapped__"):
            waiting.append(one.__wrapped__)
    return found
