"""The verdict on a history. It knows what was noted, and nothing of how the product works.

python -m tests.faults.checker FILE        reads a history, and says what is wrong with it
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.faults import history
from tests.faults.asks import Index
from tests.faults.closed import check_closed
from tests.faults.history import AnyRecord, Fault, Kept, Roster, Shown, Standing
from tests.faults.latency import Latency
from tests.faults.logs import check_logs
from tests.faults.orders import check_orders
from tests.faults.readers import Readers
from tests.faults.renames import check_names
from tests.faults.verdict import Findings, Verdict

HEAL_WITHIN = 10.0  # seconds


def check(records: Sequence[AnyRecord], *, heal_within: float = HEAL_WITHIN) -> Verdict:
    """Judge a history.

    Args:
        records: all of it, in the order in which it was noted.
        heal_within: seconds after the last fault by which everything has to be answered, and from
            then on answered and shown.
    """
    findings = Findings()
    index = Index(records)
    check_logs(index, findings)
    check_names(index, findings)
    check_orders(index, findings)
    if index.closed:
        check_closed(index, records, findings)
    Readers(index, records, findings).check(records)
    for standing in index.of_kind(Standing):
        if standing.mine != standing.true:
            text = f"{standing.client} has {standing.mine}, the owner {standing.true}"
            findings.add("standing", standing.room, text)
    for roster in index.of_kind(Roster):
        if sorted(roster.shown) != sorted(roster.true):
            missing = sorted(set(roster.true) - set(roster.shown))
            more = sorted(set(roster.shown) - set(roster.true))
            text = f"{roster.gateway} lacks {missing} and has {more} too many"
            findings.add("roster", roster.room, text)
    latency = Latency(index, records)
    latency.check(findings, heal_within)
    answered, shown = latency.percentiles()
    return Verdict(
        findings=findings.all,
        found=dict(findings.counts),
        counts=_counts(index),
        answered=answered,
        shown=shown,
        healed_within=latency.healed_within(),
    )


def _counts(index: Index) -> dict[str, int]:
    asks = index.asks.values()
    return {
        "asked": len(asks),
        "answered": sum(bool(ask.answers) for ask in asks),
        "refused": sum(bool(ask.refused) for ask in asks),
        "unknown": sum(bool(ask.unknown) and not ask.answers for ask in asks),
        "asked again": sum(ask.times - 1 for ask in asks),
        "shown": len(index.of_kind(Shown)),
        "kept": len(index.of_kind(Kept)),
        "clients": len(index.clients),
        "rooms": len(index.log),
        "faults": len(index.of_kind(Fault)),
    }


def main(argv: Sequence[str]) -> int:
    """Read a history and print its verdict; 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.checker", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--heal-within", type=float, default=HEAL_WITHIN, help="seconds")
    chosen = parser.parse_args(argv)
    verdict = check(list(history.read(chosen.file)), heal_within=chosen.heal_within)
    print(verdict.summary())
    return 0 if verdict.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
