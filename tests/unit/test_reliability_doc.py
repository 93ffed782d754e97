"""docs/reliability.md is what the results say, and leaves no promise out."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tests.faults.results import load
from tests.support import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """docs/generate_reliability.py."""
    spec = importlib.util.spec_from_file_location("made", DOCS / "generate_reliability.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_generator_makes_today(generator: ModuleType) -> None:
    """“Generated from the runs.”"""
    page = (DOCS / "reliability.md").read_text(encoding="utf-8")
    assert page == generator.generate(), "stale: run `python docs/generate_reliability.py`"


def test_every_promise_of_the_design_has_a_row(generator: ModuleType) -> None:
    promises = generator.promises()
    assert set(promises) == set(generator.TRIALS) == set(range(1, 10))


def test_every_test_that_is_named_is_there(generator: ModuleType) -> None:
    assert [path for path in generator.counted_paths() if not (ROOT / path).exists()] == []


def test_something_is_on_record_for_every_trial_but_the_measured_one(
    generator: ModuleType,
) -> None:
    kept = load()
    missing = [
        trial.where
        for number, trials in generator.TRIALS.items()
        for trial in trials
        if number != 9 and not trial.tried(kept).times
    ]
    assert missing == []
