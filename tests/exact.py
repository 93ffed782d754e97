"""The verdict on a conversation: what was acknowledged, what each reader was shown, what is kept.

Texts are unique within a test, so a text names what was said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Line: TypeAlias = tuple[int, str]  # (number in the room, text)


def faults(
    acked: Mapping[str, int],
    shown: Mapping[str, Sequence[Line]],
    log: Sequence[Line],
    asked: Sequence[str] | None = None,
    heads: Mapping[str, int] | None = None,
) -> list[str]:
    """Every way in which the conversation was not exact, as sentences; empty when it was.

    Args:
        acked: text -> the number that its sender was answered.
        shown: reader -> lines in the order in which they were shown, up to the end of the log.
        log: the room's messages, read afterwards from number 1.
        asked: everything that anybody tried to say; None: just what was acknowledged.
        heads: reader -> the room's newest number when it came; 0 for those not named.
    """
    found: list[str] = []
    kept = {text: seq for seq, text in log}
    numbers = [seq for seq, _ in log]
    if numbers != list(range(1, len(log) + 1)):
        holes = sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers))
        found.append(f"the log's numbers are not 1, 2, 3 ...: missing {holes[:5]}")
    found += [
        f"doubled in the log: {text!r}"
        for text, times in Counter(text for _, text in log).items()
        if times > 1
    ]
    for text, seq in acked.items():
        if text not in kept:
            found.append(f"lost: {text!r} was acknowledged as {seq}")
        elif kept[text] != seq:
            found.append(f"{text!r} was acknowledged as {seq} and is kept as {kept[text]}")
    known = set(acked if asked is None else asked)
    found += [f"phantom: {text!r} was never said" for text in kept if text not in known]
    for reader, lines in shown.items():
        found += _faults_of_reader(reader, lines, log[(heads or {}).get(reader, 0) :])
    return found


def _faults_of_reader(reader: str, lines: Sequence[Line], wanted: Sequence[Line]) -> list[str]:
    for at, (have, want) in enumerate(zip(lines, wanted, strict=False), 1):
        if have != want:
            return [f"{reader} was shown {have} as its line {at}, not {want}"]
    if len(lines) != len(wanted):
        return [f"{reader} was shown {len(lines)} lines, not {len(wanted)}"]
    return []
