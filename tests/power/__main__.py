"""`python -m tests.power --cuts N --seed S`: record a run, cut the power N times, and judge.

Exits with 1 when a promise was broken. The seed decides what is said and where it is cut; when
things happen is decided by the machine, so the cuts of two runs differ.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from tests.faults import results
from tests.power.moments import choose
from tests.power.trial import record, summary, try_cuts, unlike


def main(argv: list[str]) -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.power", description=__doc__)
    parser.add_argument("--cuts", type=int, default=200, help="how often (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--record", action="store_true", help="keep it for docs/reliability.md")
    parser.add_argument("--keep", type=Path, help="where to leave what broke a promise")
    chosen = parser.parse_args(argv)
    try:
        run = asyncio.run(record(chosen.seed))
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    unrecorded = unlike(run)
    if unrecorded or run.troubles:
        print("\n".join([*unrecorded, *run.troubles]), file=sys.stderr)
        return 1
    cuts = choose(run.recording, run.talk, chosen.cuts, chosen.seed)
    verdict = try_cuts(run.recording, run.talk, cuts, keep=chosen.keep)
    said = "\n".join(summary(run, verdict))
    print(said)
    if chosen.record:
        found = len(verdict.faults)
        result: dict[str, object] = {"cuts": chosen.cuts, "found": found, "summary": said}
        results.record("power", f"{chosen.cuts} cuts, seed {chosen.seed}", result)
    return 1 if verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
