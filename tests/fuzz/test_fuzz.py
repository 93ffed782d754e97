"""The kept corpus is tried on every parser; and the fuzzer finds what it is there to find."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from random import Random
from types import ModuleType

import msgspec
import pytest

from hubbub import frames
from hubbub.cli import line_editor
from hubbub.wire import Item, pack_stream
from tests.fuzz import broken, corpus, coverage, measure
from tests.fuzz.engine import Fuzzer, Result, minimal, shrunk
from tests.fuzz.mutate import Bytes, Text
from tests.fuzz.packed import HEADS, Packed
from tests.fuzz.target import Feed, Target
from tests.fuzz.targets import TARGETS
from tests.support import ROOT, clean_environment, slack

INPUTS = 6000  # enough for each of the faults below, by some times


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    made = TARGETS[request.param]()
    yield made
    made.close()


# --- the corpus -----------------------------------------------------------------------------------


def test_no_kept_input_breaks_a_rule(target: Target) -> None:
    """“nothing but the declared errors, no input over 50 ms, no growth”"""
    result = Fuzzer(target, corpus.load(target.name)).replay()
    assert [f"{one.kind}: {one.text} {one.data[:200]!r}" for one in result.failures] == []
    assert result.inputs >= result.corpus > 0


def test_every_target_has_a_kept_corpus_of_small_files_named_by_what_is_in_them() -> None:
    assert {path.name for path in corpus.CORPUS.iterdir()} == set(TARGETS)
    for path in corpus.CORPUS.glob("*/*"):
        assert path.name == corpus.name_of(path.read_bytes()), path
        assert path.stat().st_size <= corpus.MOST_BYTES, path
    for name in TARGETS:
        assert 0 < len(corpus.load(name)) <= corpus.MOST_FILES, name


def test_a_seed_is_good_for_its_parser(target: Target) -> None:
    """They are made from the types of the frames: a new one is among them by itself."""
    outcomes = [target.run(data) for data in target.seeds()]
    assert len(set(map(repr, outcomes))) > len(outcomes) // 20


# --- the fuzzer -----------------------------------------------------------------------------------


class Broken(Target):
    """A parser with a fault of each kind, in tests/fuzz/broken.py."""

    name = "broken"
    modules: tuple[ModuleType, ...] = (broken,)
    most = 4 * 1024
    bound = 64 * 1024

    def __init__(self) -> None:
        self.mutators = (Bytes([b"[", b"]"]),)

    def seeds(self) -> Iterable[bytes]:
        return [b"nothing of interest"]

    def run(self, data: bytes) -> Hashable:
        return self.parse(data)

    def parse(self, data: bytes) -> int:
        return 0


class Magic(Broken):
    def parse(self, data: bytes) -> int:
        return broken.magic(data)


class Quadratic(Broken):
    most = 8 * 1024

    def parse(self, data: bytes) -> int:
        try:
            return min(1, broken.quadratic(data))
        except broken.DeclaredError:
            return 2


class Leaking(Broken):
    def parse(self, data: bytes) -> int:
        return broken.leaking(data)


class Hoarding(Broken):
    def feeder(self) -> Feed:
        return broken.Hoard().feed


def fuzzed(target: Target, inputs: int = INPUTS, seed: int = 1) -> Result:
    return Fuzzer(target, [], seed).run(inputs=inputs)


def test_an_undeclared_error_behind_a_word_of_four_bytes_is_found_byte_by_byte() -> None:
    """By chance alone it takes four billion inputs; each byte is a line that is new."""
    result = fuzzed(Magic(), inputs=40_000)
    assert [failure.kind for failure in result.failures] == ["error"]
    assert "KeyError: 'magic'" in result.failures[0].text
    assert result.failures[0].data == b"HBUB"  # nothing is left in it that could be left out
    assert result.new


def test_without_looking_at_lines_it_is_not_found() -> None:
    class Blind(Magic):
        modules = ()

        def run(self, data: bytes) -> Hashable:
            self.parse(data)
            return None

    assert fuzzed(Blind(), inputs=40_000).failures == []


def test_of_a_parser_in_c_an_outcome_does_for_a_line() -> None:
    class Closed(Magic):
        modules = ()  # what it returns says how many bytes were right

    assert [failure.data for failure in fuzzed(Closed(), inputs=40_000).failures] == [b"HBUB"]


def test_quadratic_time_is_found() -> None:
    result = fuzzed(Quadratic(), inputs=600)
    assert [failure.kind for failure in result.failures] == ["slow"]
    assert result.slowest > measure.LIMIT
    assert result.failures[0].data.count(b"[") > 1000


def test_memory_that_every_input_leaves_behind_is_found() -> None:
    broken.LEAKED.clear()
    try:
        result = fuzzed(Leaking())
    finally:
        broken.LEAKED.clear()
    assert [failure.kind for failure in result.failures] == ["leak"]
    assert result.growth > measure.GROWTH


def test_a_parser_that_holds_all_it_was_ever_given_is_found() -> None:
    result = fuzzed(Hoarding())
    assert [failure.kind for failure in result.failures] == ["holds"]


def test_of_a_sound_parser_nothing_is_said() -> None:
    assert fuzzed(Broken()).failures == []


def test_a_seed_decides_which_inputs_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []

    class Watched(Magic):
        def run(self, data: bytes) -> Hashable:
            tried.append(data)
            return None

    rows = []
    for seed in (1, 1, 2):
        fuzzed(Watched(), inputs=200, seed=seed)
        rows.append(tried.copy())
        tried.clear()
    assert rows[0] == rows[1] != rows[2]


def test_what_is_kept_is_small_and_reaches_what_nothing_before_it_did() -> None:
    target = Magic()
    kept = minimal(target, [b"xxHBxx", b"HBxx", b"HBUx", b"Hzzzzz", b"HBU"], [b"nothing"])
    assert kept == [b"HBU"] or sorted(kept, key=len) == [b"H", b"HB", b"HBU"]


def test_an_input_is_made_smaller_as_long_as_it_still_fails() -> None:
    assert shrunk(b"aaaaaXbbbbYccc" * 3, lambda data: b"X" in data and b"Y" in data) == b"XY"
    assert shrunk(b"", lambda data: True) == b""


def test_a_line_is_new_once() -> None:
    seen = coverage.of([broken])
    try:
        rows = []
        for data in (b"x", b"x", b"Hx", b"HBx", b"Hx"):
            seen.begin()
            broken.magic(data)
            rows.append(len(seen.end()))
    finally:
        seen.close()
    assert rows[0] > 0
    assert (rows[1], rows[4]) == (0, 0)
    assert rows[2] > 0
    assert rows[3] > 0


@pytest.mark.parametrize("mutator", [Bytes([b"tok"]), Text([b"tok"]), Packed([b"tok"])])
def test_a_mutator_makes_other_inputs_of_any_input(mutator: Bytes | Text | Packed) -> None:
    random = Random(1)
    good = b"\x82\xa1t\xa3say\xa3ref\x07"
    for data in (b"", good, b"\xc1", bytes(range(256)), "漢字".encode(), good * 3 + b"\xdf"):
        made = {mutator.change(random, data, good) for _ in range(200)}
        assert len(made) > 20
        long = [mutator.swell(random, data, 5000) for _ in range(50)]
        assert max(map(len, long)) > 4000
        assert len(set(long)) > 1


def test_msgpack_that_is_changed_by_its_values_is_mostly_msgpack() -> None:
    import msgpack

    random, packed = Random(2), Packed([b"name"])
    good = msgpack.packb({"t": "join", "ref": 1, "room": "lobby", "members": [{"name": "x"}]})
    sound = 0
    for _ in range(500):
        try:
            msgpack.unpackb(packed.change(random, good, good), strict_map_key=False)
            sound += 1
        except (ValueError, msgpack.UnpackException, TypeError):
            pass
    assert sound > 250
    assert all(head[0] >= 0xC0 for head in HEADS)


# --- the command ----------------------------------------------------------------------------------


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *map(str, arguments)],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=slack(60),
        check=False,
    )


def test_the_command_says_in_one_line_what_a_run_came_to() -> None:
    done = command("typing", "--inputs", "300")
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert line.split()[:3] == ["typing", "300", "inputs"]
    assert line.endswith(" ok")


def test_the_command_tries_a_given_input_alone(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"\xc1")
    done = command("typing", "--input", path)
    assert done.returncode == 0
    assert "+0 " in done.stdout


def test_the_command_refuses_a_target_that_there_is_not() -> None:
    done = command("irc")
    assert done.returncode == 2
    assert "there is no target irc" in done.stderr


# --- what it found --------------------------------------------------------------------------------

_HEAD = struct.Struct("!BQQQI")
_EVENT = b"\x88" + frames.encoder.encode(frames.Message("lobby", 1, 7, "Radha", "hello", 1))[1:]


def _rows(*batches: bytes) -> bytes:
    return b"".join(len(one).to_bytes(2, "big") + one for one in batches)


def _page(depth: int) -> bytes:
    """A page of one message that has an unknown field, nested."""
    nested = msgspec.Raw(_EVENT + b"\xa4more" + b"\x91" * depth + b"\x01")
    return frames.encoder.encode(frames.Page(1, "lobby", [nested]))


BROKEN_ONCE = {
    "native: an extension of 4 GiB counted as empty when it came in one piece": [
        b"\x84\xa1t\xa4ping\xa3ref\x01\xa1x%c\xa1y\xc9\xff\xff\xff\xff\x05" % turn
        for turn in range(9)  # each is cut otherwise
    ],
    "stream: a batch cut short that was held took the one before it along": [
        _rows(_HEAD.pack(1, 1, 2, 7, 3), pack_stream(1, 1, 7, [Item(1, 5, 1, 9, b"x")]))
    ],
    "stream: a batch cut short that was held was an error when the stream began": [
        _rows(_HEAD.pack(1, 2, 1, 7, 1), pack_stream(1, 1, 7, [Item(1, 5, 1, 9, b"x")])),
        _rows(_HEAD.pack(1, 1, 2, 7, 1), _HEAD.pack(1, 2, 1, 7, 1)),
    ],
    "client: a log entry nested as deep as the stack just allows": [
        _page(depth) for depth in range(900, 1000, 4)
    ],
    "client: seconds that are no number": [
        frames.encoder.encode(frames.Moving(seconds)) for seconds in (math.nan, math.inf)
    ]
    + [frames.encoder.encode(frames.Error("limit", "wait", 1, math.nan))],
    "client: a report printed as JSON that is none": [
        frames.encoder.encode(frames.Report(1, "w", 1, 1, 1, up, gateways=[one]))
        for up, one in (
            (math.nan, frames.GatewayInfo("g")),
            (math.inf, frames.GatewayInfo("g")),
            (1.0, frames.GatewayInfo("g", 1, math.nan)),
            (1.0, frames.GatewayInfo("g", 1, -math.inf)),
        )
    ],
    "credentials: bytes in a text that are not UTF-8": [b'a{"\xff":', b'n{"body":"\xff"}'],
    "credentials: nested deeper than the stack": [
        b'a{"a":{"name":"a","device":"b","x":' + b"[" * 5000,
        b'n{"x":' + b"[" * 5000,
    ],
    "settings: nested deeper than the stack": [b"data = " + b"[" * 5000],
    "settings: more digits than Python reads": [b"brokers = " + b"9" * 5000],
    "settings: a path with a NUL in it": [b'data = "a\\u0000"', b'bus_keys = "\\u0000"'],
    "lines: what follows a digit without being seen": [
        "߃\ufe0f".encode(),
        "\b\ufe0f\u200c".encode(),  # the digit is the last of an escape
    ],
    "lines: a joiner hidden behind a sign": ["^\u200d".encode(), "`\u200d".encode()],
    "lines: a filler hidden behind an ideograph": ["㠀\u17b4".encode(), "漢\u034f".encode()],
    "lines: a mark with a place of its own at the very beginning": ["ြ".encode(), "ᅡ".encode()],
    "names: a mark with a place of its own at the very beginning": ["ြ".encode()],
    "asked: a long name of marks that change places": [
        b"%c8" % kind + b"\xd9\x8b\xcc\x95" * 7000 for kind in range(0, 40, 3)
    ],
    "names: a password with bytes that are no text": [b"a\xff"],
    "names: a flood of such marks": [("က" + "ြ" * 20).encode()],
    "kept: a number that no kernel and no database takes": [
        b"l2147483648 1", b"n7 %d 3" % 2**63, b"b" + b"\xff" * 8, b"v1e999", b"vNULL",
    ],
    "kept: a directory for sockets that is none": [b"d", b"dx", b"d\0", b"d/\xff\0"],
    "addresses: a host that no resolver takes": [
        b"a..b:1", b"\xff:1", b"x" * 64 + b":1", "é.".encode() * 2000 + b":1",
    ],
    "bus_keys: a file that holds no key": [
        kind + content for kind in (b"b", b"c", b"s", b"l")
        for content in (b"public-key", b"public-key = x", b'public-key = "' + b"#" * 40 + b'"')
    ],
    "deploy_answers: what is no answer": [
        b"xHTTP/1.1 200 OK\r\n\r\n<a", b"r\x91\x01", b"r\x81\xa3ref\x01", b"r\xdd" + b"\xff" * 4,
    ],
    "deploy_files: a process with a name that is no text": [b"ppython3\0-m\0worker\xfe\xfe\xff"],
    "deploy_files: a data directory that is a link to itself": [
        b"ppython3\0-m\0worker\0--data=loop\xfe\xfe"
    ],
    "deploy_files: a path that supervisord would read otherwise": [b"da\rb", b"d\xff"],
    "deploy_files: more digits than Python reads": [b"g" + b"9" * 5000],
    "deploy_files: settings nested deeper than the stack": [b"cdata = " + b"[" * 5000],
    "deploy_files: a recorded directory that is none": [b"r\xff", b"r\0"],
    "texts: marks that change places": [b"a" + b"\xcc\x81\xcc\x96" * 8000],
}  # fmt: skip


@pytest.mark.parametrize("story", BROKEN_ONCE)
def test_what_broke_a_rule_once_does_so_no_more(story: str) -> None:
    target = TARGETS[story.partition(":")[0]]()
    try:
        for data in BROKEN_ONCE[story]:
            target.run(data)
            assert measure.least(lambda given=data: target.cost(given)) <= measure.LIMIT  # type: ignore[misc]
    finally:
        target.close()


def test_of_lines_that_were_pending_nothing_is_kept() -> None:
    """Widths of short texts are cached for ever by who is asked for them."""

    def fit(data: bytes) -> object:
        return line_editor._fit(data.decode(), 40)

    rounds = [[f"{turn} {at} {'漢' * 30}".encode() for at in range(500)] for turn in range(4)]
    assert measure.growth(fit, rounds) < measure.GROWTH
