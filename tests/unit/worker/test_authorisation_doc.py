"""docs/authorisation.md is what worker/access.py says."""

from __future__ import annotations

import re
from pathlib import Path

from docs import generate_authorisation
from worker.access import TABLE, Action, Role

DOCS = Path(__file__).resolve().parents[3] / "docs"


def page() -> str:
    """What stands in the repository."""
    return (DOCS / "authorisation.md").read_text(encoding="utf-8")


def test_the_page_is_what_the_generator_makes_today() -> None:
    """“A page that can be generated or checked is.”"""
    stale = "stale: run `python docs/generate_authorisation.py`"
    assert page() == generate_authorisation.generate(), stale


def test_every_tick_of_the_table_and_no_other_stands_on_the_page() -> None:
    """“Every action × every role, generated from one source.”"""
    shown: dict[str, set[str]] = {}
    head: list[str] = []
    columns: set[str] = set()
    for line in page().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|  |"):
            head = cells
            columns |= set(cells[1:])
        elif line.startswith("| ") and cells[0] != "---" and len(cells) == len(head):
            shown[cells[0]] = {name for name, cell in zip(head, cells, strict=True) if cell == "✓"}
    names = {role: "no session" if role is Role.GATEWAY else role.value for role in Role}
    assert columns == set(names.values())
    assert set(shown) == {action.value for action in Action}
    everybody = {Action.END, Action.PING}  # the page says so in a sentence
    for action in set(Action) - everybody:
        assert shown[action.value] == {names[role] for role in TABLE[action]}, action


def test_every_line_fits() -> None:
    """Prose is wrapped."""
    long = [line for line in page().splitlines() if len(line) > 120 and not line.startswith("|")]
    assert long == []
    assert not re.search(r"\n\n\n", page())
