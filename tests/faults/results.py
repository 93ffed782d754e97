"""What the runs have found, kept in docs/reliability.json: docs/reliability.md is made from it."""

from __future__ import annotations

import datetime
import json
import subprocess
from typing import Any

from tests.support import ROOT

KEPT = ROOT / "docs" / "reliability.json"


def load() -> dict[str, dict[str, dict[str, Any]]]:
    """Section -> name -> result."""
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(KEPT.read_text(encoding="utf-8"))
    return found


def record(section: str, name: str, result: dict[str, object]) -> None:
    """Keep a result, in the place of the one before; with its day and the commit it was got with.

    Args:
        section: runs, simulation, power, fuzz, soak, idle or breakages.
        name: which of them.
        result: plain data.
    """
    kept = load() if KEPT.exists() else {}
    now = datetime.datetime.now(datetime.UTC).date().isoformat()
    kept.setdefault(section, {})[name] = result | {"day": now, "commit": _commit()}
    text = json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False)
    KEPT.write_text(text + "\n", encoding="utf-8")


def _commit() -> str:
    """The commit of the tree, with `+` when it has been changed since; "" without one."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()
