"""The breakages are up to date; what breaking does is run by `python -m tests.faults.broken`."""

from __future__ import annotations

import pytest

from docs.generate_reliability import promises
from tests.faults.breakages import BREAKAGES, Breakage
from tests.faults.broken import broken_text, examine
from tests.support import ROOT


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda each: each.name)
def test_each_breakage_finds_what_it_breaks(breakage: Breakage) -> None:
    texts: dict[str, str] = {}
    for edit in breakage.edits:
        before = texts.get(edit.file) or (ROOT / edit.file).read_text(encoding="utf-8")
        texts[edit.file] = broken_text(edit, before)
        compile(texts[edit.file], edit.file, "exec")


def test_every_promise_is_broken_by_something() -> None:
    assert {breakage.promise for breakage in BREAKAGES} == set(promises())


def test_a_breakage_is_noticed_in_a_copy_of_the_tree() -> None:
    (breakage,) = [each for each in BREAKAGES if each.name == "allow_by_default"]
    outcome = examine(breakage)
    assert outcome.noticed_by.endswith("tests/unit/worker/test_access.py")
    assert outcome.said
    assert "frozenset(Role))" not in (ROOT / "worker" / "access.py").read_text(encoding="utf-8")
