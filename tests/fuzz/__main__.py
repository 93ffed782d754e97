"""`python -m tests.fuzz [TARGET ...] --seconds 15`: fuzz the parsers; 1 when one broke a rule.

Every input is declared harmless or refused with the declared error, within 50 ms of processor time
and without leaving memory behind. A run of one seed tries the same inputs in the same order, as far
as it comes in its time. An input that broke a rule is left in a file, with the command that tries
it again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.results import record
from tests.fuzz import corpus
from tests.fuzz.engine import Failure, Fuzzer, Result, minimal
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

MOST_SHOWN = 400  # characters of an input


def main(argv: list[str]) -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="of " + ", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=15.0, help="each, of processor time (15)")
    parser.add_argument("--inputs", type=int, default=0, help="each, instead of --seconds")
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--keep", action="store_true", help="add what reached anything new")
    parser.add_argument("--record", action="store_true", help="keep it for docs/reliability.md")
    parser.add_argument("--input", type=Path, help="try only what is in this file")
    chosen = parser.parse_args(argv)
    unknown = set(chosen.targets) - set(TARGETS)
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    results = [_run(TARGETS[name], chosen) for name in chosen.targets or TARGETS]
    if chosen.record:
        for result in results:
            record("fuzz", result.target, result.as_data())
    return 1 if any(result.failures for result in results) else 0


def _run(kind: type[Target], chosen: argparse.Namespace) -> Result:
    target = kind()
    try:
        known = corpus.load(target.name)
        if chosen.input is not None:
            fuzzer = Fuzzer(target, [chosen.input.read_bytes()])
            result = fuzzer.replay()
        else:
            fuzzer = Fuzzer(target, known, chosen.seed)
            result = fuzzer.run(seconds=chosen.seconds, inputs=chosen.inputs)
        print(result.line(), flush=True)
        for failure in result.failures:
            _tell(target.name, failure)
        if chosen.keep:
            begun = fuzzer.pool[: result.corpus]
            kept = [data for data in minimal(target, result.new, begun) if _keep(target, data)]
            print(f"{target.name}: {len(kept)} inputs were added to the corpus", flush=True)
        return result
    finally:
        target.close()


def _keep(target: Target, data: bytes) -> bool:
    return corpus.keep(target.name, data)


def _tell(target: str, failure: Failure) -> None:
    directory = Path(tempfile.mkdtemp(prefix="hubbub-fuzz-"))
    path = directory / f"{target}-{corpus.name_of(failure.data)}"
    path.write_bytes(failure.data)
    shown = repr(failure.data)
    more = f" ... ({len(failure.data):,} bytes)" if len(shown) > MOST_SHOWN else ""
    print(f"{target}: {failure.kind}: {failure.text}")
    print(f"  input: {shown[:MOST_SHOWN]}{more}")
    print(f"  again: python -m tests.fuzz {target} --input {path}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
