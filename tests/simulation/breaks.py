"""The product broken in place, by the texts of tests/faults/breakages.py: what a run says then."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import NamedTuple

from tests.faults.breakages import BREAKAGES, Breakage
from tests.faults.broken import broken_text
from tests.simulation.disk import Disk
from tests.simulation.run import run

COMMAND = "tests.simulation"
MINE = tuple(
    breakage
    for breakage in BREAKAGES
    if any(command[0] == COMMAND for command in breakage.noticed_by)
)


class Noticed(NamedTuple):
    """How a breakage was noticed: by the seed, and what that run said."""

    seed: int
    findings: list[tuple[str, str]]

    @property
    def kinds(self) -> set[str]:
        """The kinds of what was found."""
        return {kind for kind, _ in self.findings}


def _functions(module: ModuleType | type) -> Iterator[tuple[str, FunctionType]]:
    """All functions of a module or class, with their names in it."""
    for name, value in vars(module).items():
        if isinstance(value, property) and value.fget is not None:
            value = value.fget
        if isinstance(value, FunctionType):
            yield name, value
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for inner, function in _functions(value):
                yield f"{name}.{inner}", function


@contextmanager
def broken(breakage: Breakage) -> Iterator[None]:
    """Have the functions that a breakage changes be as it says; then as they were."""
    texts: dict[str, str] = {}
    before = []
    for edit in breakage.edits:
        name = edit.file.removesuffix(".py").replace("/", ".")
        text = texts.get(name) or inspect.getsource(importlib.import_module(name))
        texts[name] = broken_text(edit, text)
    try:
        for name, text in texts.items():
            module = importlib.import_module(name)
            other = ModuleType(name)
            exec(compile(text, f"{name} (broken)", "exec"), vars(other))
            changed = dict(_functions(other))
            for place, function in _functions(module):
                if function.__module__ == name and place in changed:
                    before.append((function, function.__code__))
                    function.__code__ = changed[place].__code__
        yield
    finally:
        for function, code in before:
            function.__code__ = code


def notice(
    disk: Disk, *, breakage: Breakage | None = None, newest: bool = False, most: int
) -> Noticed | None:
    """Run seeds until one finds something; None when `most` have not.

    Args:
        breakage: of the product.
        newest: of the clients of a run.
    """
    if breakage is not None:
        with broken(breakage):
            return notice(disk, newest=newest, most=most)
    for seed in range(most):
        outcome = run(seed, disk, newest=newest)
        if outcome.findings:
            return Noticed(seed, outcome.findings)
    return None
