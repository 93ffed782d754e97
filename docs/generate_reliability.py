"""Writes reliability.md from reliability.json, which the runs leave; a test fails when it is stale.

python docs/generate_reliability.py
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.faults.breakages import BREAKAGES
from tests.faults.results import load

HERE = Path(__file__).resolve().parent
PAGE = HERE / "reliability.md"
TEMPLATE = HERE / "reliability.in.md"
DESIGN = HERE / "design.md"

Result: TypeAlias = Mapping[str, Any]
Kept: TypeAlias = Mapping[str, Mapping[str, Result]]


class Tried(NamedTuple):
    """How often something was tried, in words, and how often the promise did not hold."""

    times: str = ""  # nothing is on record
    broken: int = 0


class Trial(NamedTuple):
    """Something that tries to break a promise.

    Args:
        what: in words.
        where: the test or the command.
        tried: what the results on record say.
    """

    what: str
    where: str
    tried: Callable[[Kept], Tried]


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _counted(path: str) -> Callable[[Kept], Tried]:
    def tried(kept: Kept) -> Tried:
        found = kept.get("tests", {}).get(path)
        return Tried(f"{_number(found['passed'])} cases") if found else Tried()

    return tried


def _sum(section: str, noun: str, count: Callable[[Result], int]) -> Callable[[Kept], Tried]:
    """Over all results of a section."""

    def tried(kept: Kept) -> Tried:
        results = list(kept.get(section, {}).values())
        if not results:
            return Tried()
        times = f"{_number(sum(map(count, results)))} {noun}"
        return Tried(times, sum(result["found"] for result in results))

    return tried


def _machine(noun: str, key: str) -> Callable[[Kept], Tried]:
    """A count over all runs of the fault machine, with the faults that were done meanwhile."""
    counted = _sum("runs", noun, lambda run: run["counts"].get(key, 0))

    def tried(kept: Kept) -> Tried:
        times, broken = counted(kept)
        faults = sum(sum(run["faults"].values()) for run in kept.get("runs", {}).values())
        return Tried(f"{times}, {_number(faults)} faults" if times else "", broken)

    return tried


_simulation = _sum("simulation", "seeds", lambda result: result["seeds"])
_power = _sum("power", "cuts", lambda result: result["cuts"])
_fuzzed = _sum("fuzz", "inputs", lambda result: result["inputs"])


def _weighed(kept: Kept) -> Tried:
    results = kept.get("idle", {})
    weights = (
        f"{name}: {found['memory']:.0f} MiB, {found['cpu']:.1f} % of a core"
        for name, found in results.items()
    )
    return Tried("; ".join(weights), sum(found["found"] for found in results.values()))


def _test(what: str, path: str) -> Trial:
    return Trial(what, path, _counted(path))


_MACHINE = "tests/faults/run"
_SIMULATED = "python -m tests.simulation"

TRIALS: dict[int, tuple[Trial, ...]] = {
    1: (
        Trial("kill -9, full disk, crash points", _MACHINE, _machine("acknowledged", "answered")),
        Trial("the owner dies anywhere in a turn", _SIMULATED, _simulation),
        Trial("power cut", "python -m tests.power", _power),
    ),
    2: (
        Trial("every reader against the log", _MACHINE, _machine("entries shown", "shown")),
        Trial("frames lost, doubled, late, out of order", _SIMULATED, _simulation),
        _test("pipelined lines, barriers", "tests/cluster/test_order.py"),
    ),
    3: (
        Trial("the same id through several gateways", _MACHINE, _machine("asks", "asked")),
        Trial("repeats at any moment", _SIMULATED, _simulation),
        _test("a thousand ids twice each", "tests/cluster/test_repeats.py"),
    ),
    4: (
        Trial("every kind of fault", _MACHINE, _machine("asks", "asked")),
        _test("who is gone, and when", "tests/cluster/test_kills.py"),
        _test("frozen processes", "tests/cluster/test_freezes.py"),
        _test("supervisord's children", "tests/deploy/test_kills.py"),
    ),
    5: (
        _test("who reads nothing", "tests/cluster/test_slow_reader.py"),
        _test("garbage and slow handshakes", "tests/doors"),
        _test("guessed passwords", "tests/unit/worker/test_throttle.py"),
        Trial("no input is slow, none makes memory grow", "python -m tests.fuzz", _fuzzed),
    ),
    6: (
        Trial("nothing but the declared errors", "python -m tests.fuzz", _fuzzed),
        _test("hostile texts on a real terminal", "tests/client/test_hostile.py"),
        _test("hostile texts", "tests/unit/hubbub/test_hostile.py"),
    ),
    7: (
        _test("every action by every role", "tests/unit/worker/test_authorisation.py"),
        _test("what outsiders can learn", "tests/unit/worker/test_authorisation_secrets.py"),
        Trial("nothing shown to who is no member", _MACHINE, _machine("entries shown", "shown")),
    ),
    8: (
        _test("settings that would open a door", "tests/unit/hubbub/test_settings.py"),
        _test("strangers on the bus", "tests/unit/hubbub/test_bus.py"),
        _test("passwords and tokens", "tests/unit/worker/test_passwords.py"),
    ),
    9: (Trial("an idle cluster, weighed", "bench/idle", _weighed),),
}


def counted_paths() -> list[str]:
    """The files and directories of tests whose cases are counted."""
    return sorted(
        {each.where for row in TRIALS.values() for each in row if each.where.startswith("tests/")}
        - {_MACHINE}
    )


def promises() -> dict[int, str]:
    """The promises of docs/design.md by number: what stands in bold."""
    text = DESIGN.read_text(encoding="utf-8")
    section = text[text.index("## What always holds") :]
    return {
        int(number): title for number, title in re.findall(r"^(\d+)\. \*\*(.+?)\*\*", section, re.M)
    }


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _promise_rows(kept: Kept) -> Iterable[list[str]]:
    for number, title in promises().items():
        for at, trial in enumerate(TRIALS[number]):
            name = f"{number}. {title}" if at == 0 else ""
            times, broken = trial.tried(kept)
            result = f"broken {broken} times" if broken else "held"
            yield [name, trial.what, f"`{trial.where}`", times, result if times else ""]


def _breakage_rows(kept: Kept) -> Iterable[list[str]]:
    results = kept.get("breakages", {})
    for breakage in BREAKAGES:
        found = results.get(breakage.name)
        where = "not on record"
        if found:
            where = f"`{found['noticed_by']}`" if found["noticed_by"] else "**nobody**"
        lines = [line for line in found["said"] if not line.startswith("seed ")] if found else []
        said = "<br>".join(_cell(line) for line in lines[:2])
        yield [str(breakage.promise), breakage.what, where, said]


def _cell(text: str) -> str:
    return "`" + text.replace("|", "\\|").replace("`", "'")[:160] + "`"


def _run_sections(kept: Kept) -> str:
    parts = []
    for section in ("runs", "simulation", "power", "soak"):
        for name, found in kept.get(section, {}).items():
            title = f"**{name}** ({found['day']}, commit {found['commit']})"
            parts.append(f"{title}\n\n```\n{found['summary'].strip()}\n```")
    return "\n\n".join(parts)


def _fuzz_rows(kept: Kept) -> Iterable[list[str]]:
    for name, found in kept.get("fuzz", {}).items():
        yield [
            f"`{name}`",
            _number(found["inputs"]),
            str(found["corpus"]),
            f"{found['slowest_ms']:.1f}",
        ]


def generate() -> str:
    """The page as it has to be."""
    kept = load()
    page = TEMPLATE.read_text(encoding="utf-8")
    parts = {
        "promises": _table(
            ("promise", "what tries to break it", "where", "tried", "result"), _promise_rows(kept)
        ),
        "breakages": _table(
            ("promise", "the product broken", "noticed by", "what it said"), _breakage_rows(kept)
        ),
        "runs": _run_sections(kept),
        "fuzz": _table(("what is parsed", "inputs", "corpus", "slowest, ms"), _fuzz_rows(kept)),
    }
    for name, text in parts.items():
        page = page.replace(f"{{{{{name}}}}}", text)
    return page


if __name__ == "__main__":
    PAGE.write_text(generate(), encoding="utf-8")
