"""What the command line does with text, before any server is asked."""

from __future__ import annotations

import json
import string
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from hubbub.cli import lists, operators
from hubbub.cli.common import addresses, told
from hubbub.cli.input import LONGEST, LineCutter, is_text
from hubbub.cli.render import json_line, line_of, visible
from hubbub.client_link import parse_addresses
from hubbub.frames import Event, Message, Presence

HOSTILE = [
    "\x1b[2J",
    "\x1b]52;c;AAAA\x07",
    "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31m",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "a\rb",
    "a\nRadha: forged",
    "\x08\x7f",
    "\u200b\ufeff\u2060",
    "\u2028\u2029",
    "e" + "\u0301" * 50,
    "\u0301on what stands before",
    "\ue000\uffff\U000e0041",
    "\ud800",
]


def is_dead(text: str) -> bool:
    """Whether a terminal finds nothing in it to obey."""
    return all(
        unicodedata.category(character) not in ("Cc", "Cs", "Co", "Zl", "Zp")
        and unicodedata.bidirectional(character) not in ("LRE", "RLE", "LRO", "RLO", "PDF")
        and unicodedata.bidirectional(character) not in ("LRI", "RLI", "FSI", "PDI")
        and (unicodedata.category(character) != "Cf" or character in "\u200c\u200d")
        for character in text
    )


@given(st.text(st.characters(exclude_categories=()) | st.sampled_from("".join(HOSTILE))))
def test_nothing_that_is_shown_has_any_power_over_a_terminal(text: str) -> None:
    """“Control characters and escape sequences from others are made visible, never obeyed.”"""
    assert is_dead(visible(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_every_part_of_a_line_is_made_harmless(text: str) -> None:
    for event in (
        Message(text, 1, 1, text, text, 1),
        Message(text, 1, 1, text, text, 1, action=True),
        Event(text, 1, "renamed", 1, text, 1, to=text),
        Event(text, 1, text, 1, text, 1, to=text),
        Presence(text, 1, text, "left", why=text),
    ):
        line = line_of(event)
        assert line is not None
        assert is_dead(line)
        assert line != text


@given(st.text(string.printable.split("\t", maxsplit=1)[0] + "äßçñéøλжшאبहि한漢👍🏽"))
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    text = text.lstrip("\u093f")  # a vowel sign that nothing stands before
    assert visible(text) == text


@pytest.mark.parametrize("text", ["👩‍👩‍👧", "می‌خواهم", "é", "ą́", "🇩🇪"])
def test_joined_characters_of_emoji_and_scripts_stay_whole(text: str) -> None:
    assert visible(text) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_lines_are_ascii_and_say_what_was_said(text: str) -> None:
    line = json_line(Message("lobby", 7, 1, "Rita", text, 1))
    assert line.isascii()
    assert line.isprintable()
    found = json.loads(line)
    assert (found["t"], found["seq"], found["text"]) == ("message", 7, text)


# --- lines ------------------------------------------------------------------------------------


@given(st.lists(st.binary()), st.data())
def test_however_the_input_is_cut_the_same_lines_come_out(
    lines: list[bytes], data: st.DataObject
) -> None:
    whole = b"\n".join(lines)
    wanted = [
        line.removesuffix(b"\r").decode("utf-8", "surrogateescape") for line in whole.split(b"\n")
    ]  # fmt: skip
    if not whole.split(b"\n")[-1]:
        wanted.pop()
    cutter = LineCutter()
    found = []
    while whole:
        at = data.draw(st.integers(1, len(whole)))
        found += cutter.feed(whole[:at])
        whole = whole[at:]
    assert found + cutter.end() == wanted


def test_a_line_without_an_end_is_not_kept_whole() -> None:
    cutter = LineCutter()
    for _ in range(100):
        assert cutter.feed(b"x" * LONGEST) == []
    assert cutter.feed(b"\nshort\n") == ["x" * LONGEST, "short"]


@given(st.binary())
def test_a_line_is_text_only_as_the_bytes_that_came_in(line: bytes) -> None:
    """They were made U+FFFD, said so, and nobody was told."""
    (found,) = LineCutter().feed(line.replace(b"\n", b"") + b"\n")
    if is_text(found):
        assert found.encode() == line.replace(b"\n", b"").removesuffix(b"\r")
    else:
        with pytest.raises(UnicodeDecodeError):
            line.decode()


def test_a_character_that_a_long_line_was_cut_in_is_no_fault_of_it() -> None:
    (found,) = LineCutter().feed(b"x" + "é".encode() * LONGEST + b"\n")
    assert is_text(found)


@pytest.mark.parametrize("server", [",", "a..b:7000", "\udcff:7000", "nowhere"])
def test_a_server_that_can_be_none_is_told(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The first two ended in a traceback, once they were asked for."""
    with pytest.raises(SystemExit) as ended:
        addresses(server)
    assert ended.value.code == 2
    assert repr(server) in capsys.readouterr().err


@pytest.mark.parametrize("server", ["", " "])
def test_a_server_that_is_named_by_nothing_is_not_the_default_one(
    server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As by a script's variable that is not set."""
    for variable, flag, which in (("a:1", server, "--server"), (server, None, "HUBBUB_SERVER")):
        monkeypatch.setenv("HUBBUB_SERVER", variable)
        with pytest.raises(SystemExit) as ended:
            addresses(flag)
        assert ended.value.code == 2
        assert (
            capsys.readouterr().err
            == f"hubbub: {which}: {server!r} names no server; it takes HOST:PORT\n"
        )
        with pytest.raises(ValueError, match="names no server"):
            parse_addresses(() if flag is None else (flag,))


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff", b"x" * 129])
def test_what_is_no_operator_key_is_called_so(tmp_path: Path, content: bytes) -> None:
    """Not by the server, which is asked with it and says something else."""
    (tmp_path / operators.KEY).write_bytes(content)
    with pytest.raises(OSError, match="this is no key"):
        operators.read_key(tmp_path)
    (tmp_path / operators.KEY).write_bytes(b" key\n")
    assert operators.read_key(tmp_path) == "key"


def test_one_long_cell_does_not_make_every_row_long() -> None:
    """A server could fill the memory with an answer of some megabytes."""
    rows = lists.table([("x" * 10_000, "here"), ("Radha", "away"), ("Bo", "here")])
    assert max(map(len, rows[1:])) == lists.WIDEST + len("  away")
    assert lists.table([("Radha", "away"), ("Bo", "here")]) == ["Radha  away", "Bo     here"]


def test_a_file_that_cannot_be_used_is_told_without_the_number_of_its_error() -> None:
    assert told(OSError(2, "No such file or directory", "/x")) == "/x: No such file or directory"
    assert told(OSError("there is nobody to ask")) == "there is nobody to ask"
