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
    check_names(index, records, findings)
    check_orders(index, records, findings)
    check_closed(index, records, findings)
    Readers(index, records, findings).check(records)
    for record in records:
        if isinstance(record, Standing) and record.mine != record.true:
            text = f"{record.client} has {record.mine}, the owner {record.true}"
            findings.add("standing", record.room, text)
        elif isinstance(record, Roster) and sorted(record.shown) != sorted(record.true):
            missing = sorted(set(record.true) - set(record.shown))
            more = sorted(set(record.shown) - set(record.true))
            text = f"{record.gateway} lacks {missing} and has {more} too many"
            findings.add("roster", record.room, text)
    latency = Latency(index, records)
    latency.check(findings, heal_within)
    answered, shown = latency.percentiles()
    return Verdict(
        findings=findings.all,
        found=dict(findings.counts),
        counts=_counts(index, records),
        answered=answered,
        shown=shown,
        healed_within=latency.healed_within(),
    )


def _counts(index: Index, records: Sequence[AnyRecord]) -> dict[str, int]:
    asks = index.asks.values()
    return {
        "asked": len(asks),
        "answered": sum(bool(ask.answers) for ask in asks),
        "refused": sum(bool(ask.refused) for ask in asks),
        "unknown": sum(bool(ask.unknown) and not ask.answers for ask in asks),
        "asked again": sum(ask.times - 1 for ask in asks),
        "shown": sum(isinstance(record, Shown) for record in records),
        "kept": sum(isinstance(record, Kept) for record in records),
        "clients": len(index.clients),
        "rooms": len(index.log),
        "faults": sum(isinstance(record, Fault) for record in records),
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
