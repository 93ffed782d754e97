"""docs/reliability.md is what the results say, and leaves no promise out."""

from __future__ import annotations

from docs import generate_reliability
from tests.faults.results import load
from tests.support import ROOT

DOCS = ROOT / "docs"


def test_the_page_is_what_the_generator_makes_today() -> None:
    """“Generated from the runs.”"""
    page = (DOCS / "reliability.md").read_text(encoding="utf-8")
    assert page == generate_reliability.generate(), (
        "stale: run `python docs/generate_reliability.py`"
    )


def test_every_promise_of_the_design_has_a_row() -> None:
    promises = generate_reliability.promises()
    assert set(promises) == set(generate_reliability.TRIALS) == set(range(1, 10))


def test_every_test_that_is_named_is_there() -> None:
    assert [
        path for path in generate_reliability.counted_paths() if not (ROOT / path).exists()
    ] == []


def test_something_is_on_record_for_every_trial() -> None:
    kept = load()
    missing = [
        trial.where
        for trials in generate_reliability.TRIALS.values()
        for trial in trials
        if not trial.tried(kept).times
    ]
    assert missing == []
