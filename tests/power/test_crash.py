"""The model of a disk that loses its power, by itself."""

from __future__ import annotations

from itertools import product

import pytest

from tests.power.crash import SECTOR, Cut, Disk, Loss
from tests.power.recording import DIRECTORY, Act, Name, Recording, Sync, Truncate, Write

SEEDS = range(40)
LATE = 100.0


def _recording(*acts: Act) -> Recording:
    """Acts of which each takes half a second, one second after the other."""
    timed = [act._replace(began=float(at), ended=at + 0.5) for at, act in enumerate(acts)]
    return Recording(timed, {1: "a", 2: "b"}, {})


def _make(file: int, name: str, old: str = "") -> Name:
    return Name(0, 0, file, name, old)


def _put(file: int, offset: int, data: bytes) -> Write:
    return Write(0, 0, file, offset, memoryview(data))


def _sync(file: int) -> Sync:
    return Sync(0, 0, file)


def _after(recording: Recording, at: float = LATE) -> list[dict[str, bytes]]:
    """What may be there, by all ways to lose and many seeds."""
    found = []
    for loss, names, seed in product(Loss, Loss, SEEDS):
        files = Disk(recording).after(Cut(at, loss, names, seed, ""))
        found.append({name: bytes(data) for name, data in files.items()})
    return found


def test_what_was_synced_is_there_and_its_name_when_that_was_synced_too() -> None:
    """“What a file held when a completed fsync of it began is there.”"""
    acts = _make(1, "a"), _put(1, 0, b"x" * 2000), _sync(1)
    assert {frozenset(files) for files in _after(_recording(*acts))} == {
        frozenset(),
        frozenset("a"),
    }
    assert all(files["a"] == b"x" * 2000 for files in _after(_recording(*acts)) if files)
    both = _recording(*acts, _sync(DIRECTORY))
    assert all(files == {"a": b"x" * 2000} for files in _after(both))


def test_a_sync_that_has_not_returned_makes_nothing_safe() -> None:
    recording = _recording(_make(1, "a"), _sync(DIRECTORY), _put(1, 0, b"x"), _sync(1))
    assert {files["a"] for files in _after(recording, at=3.4)} == {b"", b"x", b"\0"}
    assert {files["a"] for files in _after(recording, at=3.5)} == {b"x"}


def test_a_write_that_has_not_returned_may_be_there_in_part() -> None:
    """“A call that had not returned is one more that may be done in part.”"""
    recording = _recording(_make(1, "a"), _sync(DIRECTORY), _put(1, 0, b"x" * 2 * SECTOR))
    assert {files["a"] for files in _after(recording, at=1.9)} == {b""}
    found = {files["a"] for files in _after(recording, at=2.1)}
    assert {b"", b"x" * SECTOR, bytes(SECTOR) + b"x" * SECTOR, b"x" * 2 * SECTOR} <= found


def test_a_sync_covers_only_what_had_returned_when_it_began() -> None:
    acts: list[Act] = [
        Name(0.0, 0.1, 1, "a", ""),
        Sync(0.2, 0.3, DIRECTORY),
        Write(1.0, 5.0, 1, 0, memoryview(b"x")),
        Sync(2.0, 3.0, 1),
    ]
    found = _after(Recording(acts, {1: "a"}, {}), at=4.0)
    assert b"" in {files["a"] for files in found}


def test_each_sector_of_an_unsynced_write_is_there_or_not() -> None:
    """“Of every later write any of its sectors may be there or not, in any combination.”"""
    new = b"n" * (2 * SECTOR)
    recording = _recording(
        *(_make(1, "a"), _sync(DIRECTORY), _put(1, 0, b"o" * (3 * SECTOR)), _sync(1)),
        _put(1, SECTOR // 2, new),
    )
    found = {files["a"] for files in _after(recording)}
    pieces = [(256, 512), (512, 1024), (1024, 1280)]
    for kept in product((False, True), repeat=3):
        wanted = bytearray(b"o" * (3 * SECTOR))
        for keep, (begin, end) in zip(kept, pieces, strict=True):
            if keep:
                wanted[begin:end] = b"n" * (end - begin)
        assert bytes(wanted) in found
    assert len(found) == 8


def test_a_later_write_may_be_there_without_an_earlier_one_and_the_length_may_be_any_since() -> (
    None
):
    recording = _recording(
        *(_make(1, "a"), _sync(DIRECTORY), _put(1, 0, b"1" * SECTOR)),
        *(_put(1, SECTOR, b"2" * SECTOR), Truncate(0, 0, 1, 10)),
    )
    found = {files["a"] for files in _after(recording)}
    assert bytes(SECTOR) + b"2" * SECTOR in found
    assert bytes(2 * SECTOR) in found
    assert {0, 10, SECTOR, 2 * SECTOR} == {len(data) for data in found}
    assert all(set(data) <= set(b"12\0") for data in found)


def test_a_rename_is_done_or_not_done() -> None:
    """“A rename is done or not done, never half.”"""
    recording = _recording(
        *(_make(1, "a"), _put(1, 0, b"old"), _sync(1), _sync(DIRECTORY)),
        *(_make(2, "a.new"), _put(2, 0, b"new"), _sync(2), _make(2, "a", "a.new")),
    )
    found = [files["a"] for files in _after(recording)]
    assert set(found) == {b"old", b"new"}


def test_a_file_that_was_renamed_before_it_was_synced_may_be_empty() -> None:
    recording = _recording(_make(1, "a.new"), _put(1, 0, b"new"), _make(1, "a", "a.new"))
    assert {"a": b""} in _after(recording)


def test_an_unlinked_file_may_still_be_there() -> None:
    recording = _recording(
        *(_make(1, "a"), _put(1, 0, b"x"), _sync(1), _sync(DIRECTORY), _make(0, "", "a")),
    )
    assert {frozenset(files.items()) for files in _after(recording)} == {
        frozenset(),
        frozenset({("a", b"x")}),
    }


@pytest.mark.parametrize("loss", list(Loss))
def test_the_same_cut_finds_the_same(loss: Loss) -> None:
    writes = [_put(1, at * 300, b"x" * 900) for at in range(20)]
    recording = _recording(_make(1, "a"), *writes)
    cut = Cut(LATE, loss, loss, 7, "")
    assert Disk(recording).after(cut) == Disk(recording).after(cut)


def test_a_disk_that_lies_keeps_nothing_for_certain() -> None:
    recording = _recording(_make(1, "a"), _put(1, 0, b"x"), _sync(1), _sync(DIRECTORY))
    lying = Disk(recording, honours_sync=False)
    assert lying.after(Cut(LATE, Loss.ALL, Loss.ALL, 0, "")) == {}
