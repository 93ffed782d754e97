"""What people type: lines of a chat, words of a command line, names, searches; and piped bytes."""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import os
import sqlite3
import zlib
from collections.abc import Hashable, Iterable

from hubbub import cli, client_link, frames, names, scripts, settings, visible as visible_module
from hubbub.cli import (
    commands,
    common,
    completer,
    identity,
    input as cli_input,
    line_editor,
    operators,
    search as cli_search,
    send,
    tail,
)  # fmt: skip
from hubbub.cli.commands import Command, Text as Said, WrongLineError, parse_line
from hubbub.cli.completer import Known, complete
from hubbub.cli.input import CHUNK, LONGEST, LineCutter, is_text
from hubbub.cli.pending import WIDEST
from hubbub.client_identity import Identity
from hubbub.client_requests import check_text
from hubbub.errors import Refused
from hubbub.frames import LONGEST_TEXT
from hubbub.names import check_name, direct_pair, direct_room, mentions, name_key, skeleton
from hubbub.visible import visible
from tests.fuzz import measure
from tests.fuzz.mutate import Bytes, Text
from tests.fuzz.servers import assert_harmless
from tests.fuzz.target import Feed, Target, clipped, refused, which
from tests.fuzz.wires import cut
from tests.hostile import HOSTILE
from worker import query as worker_query, ranking
from worker.query import folded, parse, spaced

_COMMANDS = [f"/{name} ".encode() for name in commands.COMMANDS]
_WORDS = [b"//", b"@", b"#", b"Radha ", b"12 ", b"#12 ", b"for 2h ", b" private", b" on", b"owner"]


class Lines(Target):
    """A typed line is a text, a command, nothing, or WrongLineError; what is drawn is harmless."""

    name = "lines"
    modules = (commands, completer, visible_module)
    most = LONGEST // 4  # as long as the longest message

    def __init__(self) -> None:
        self.mutators = (Text([*_COMMANDS, *_WORDS]), Bytes([b"\x1b[", b"\x1b]", b"\xff"]))
        self._known = Known(("Radha", "Rädha", "李雷", "a.b"), ("lobby", "Ärger", "@Radha"))

    def seeds(self) -> Iterable[bytes]:
        yield from (f"/{each} {spec.arguments}".encode() for each, spec in _specs())
        yield from (command + rest for command in _COMMANDS[:40] for rest in (b"", b"Radha 2h x"))
        yield from (text.encode("utf-8", "surrogatepass") for text in HOSTILE[::10])

    def run(self, data: bytes) -> Hashable:
        line = data.decode("utf-8", "replace")
        shown = visible(line)
        assert_harmless(shown)
        for width in (10, 80):
            assert line_editor._fit(shown[:WIDEST], width) in shown
        offer = complete(line[-200:], self._known)
        for text in offer.texts:
            assert_harmless(text)
        commands.asks_secret(line)
        try:
            wanted = parse_line(line)
        except WrongLineError as error:
            return which(error, "unknown command", "there is no command") or clipped(error)
        if isinstance(wanted, Command):
            assert wanted.name in commands.COMMANDS
        if isinstance(wanted, Said):
            assert wanted.text
            assert wanted.text in line
        return type(wanted).__name__, bool(offer.texts), shown == line

    def parse(self, data: bytes) -> object:
        line = data.decode("utf-8", "replace")
        shown = visible(line)
        line_editor._fit(shown[:WIDEST], 10)
        complete(line[-200:], self._known)
        with contextlib.suppress(WrongLineError):
            return parse_line(line), commands.asks_secret(line)
        return shown


def _specs() -> Iterable[tuple[str, commands.Spec]]:
    return commands.COMMANDS.items()


class Piped(Target):
    """Standard input of `hubbub send` and `chat`: lines, however it is cut, and bounded memory."""

    name = "piped"
    modules = (cli_input,)
    most = 4 * LONGEST
    bound = 8 * LONGEST  # the beginning of a line, and the chunk with its lines

    def __init__(self) -> None:
        ends = [b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xc3", b"\xf0\x9f", b"\xed\xa0\x80"]
        self.mutators = (Bytes(ends), Text(ends))

    def seeds(self) -> Iterable[bytes]:
        return [b"one\ntwo\n", b"\r\n\n x", b"\0\n\xff\xfe\n", "é\n漢\n".encode(), b"x" * 300]

    def run(self, data: bytes) -> Hashable:
        lines = self.lines([data])
        assert lines == self.lines(cut(data)), "cut otherwise, other lines come out"
        whole = data.split(b"\n")
        assert len(lines) == len(whole) - (not whole[-1])
        for line, raw in zip(lines, whole, strict=False):
            assert "\n" not in line
            kept = line.encode("utf-8", "surrogateescape")
            if len(raw) < LONGEST:
                assert kept == raw.removesuffix(b"\r")
                assert is_text(line) == _is_utf_8(kept)
            if len(raw) > LONGEST:
                assert not _may_be_said(line), "a part of a line would be sent"
        return min(len(lines), 4), all(map(is_text, lines)), len(data) > LONGEST

    def parse(self, data: bytes) -> object:
        return [_may_be_said(line) for line in self.lines([data])]

    def cost(self, data: bytes) -> float:
        cutter = LineCutter()
        chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
        costs = [measure.seconds(lambda chunk=chunk: cutter.feed(chunk)) for chunk in chunks]  # type: ignore[misc]
        return max(costs, default=0.0)

    def feeder(self) -> Feed:
        return LineCutter().feed

    def lines(self, pieces: list[bytes]) -> list[str]:
        """All lines of what comes in such pieces."""
        cutter = LineCutter()
        return [line for piece in pieces for line in cutter.feed(piece)] + cutter.end()


def _is_utf_8(data: bytes) -> bool:
    return data.decode("utf-8", "ignore").encode() == data


def _may_be_said(line: str) -> bool:
    try:
        check_text(line, LONGEST_TEXT)
    except Refused:
        return False
    return True


class Arguments(Target):
    """The words of the command line, NULs between them: a namespace, or exit status 0 or 2."""

    name = "arguments"
    modules = (cli, common, commands, operators, cli_search, send, tail, client_link, settings)
    most = 2 * 1024  # argparse needs quadratic time in the number of words

    def __init__(self) -> None:
        flags = [
            b"--help", b"--version", b"--server", b"--server=[::1]:7000", b"--connect-within",
            b"--name", b"--guest", b"--id", b"--json", b"--room", b"--timestamps", b"--no-bell",
            b"--input", b"-n", b"--since", b"--no-follow", b"--context", b"--revoke", b"--yes",
            b"--reason", b"--for", b"--data", b"--client", b"--out", b"--", b"-", b"5", b"2h",
            b"127.0.0.1:7000", b"1e308", b"nan", b"%s", b"%(prog)s", b"=", b"\xff", b"{}",
        ]  # fmt: skip
        words = [*(each.encode() for each in cli.COMMANDS), *flags, *OPERATING]
        between = [b"\0" + word + b"\0" for word in words]
        self.mutators = (Bytes([*between, *words]), Text([*between, *words, b"\0"]))

    def seeds(self) -> Iterable[bytes]:
        for command in cli.COMMANDS:
            for rest in ("", "--help", "lobby hello --name Radha", "--json -n 5 lobby"):
                yield f"{command} {rest}".strip().replace(" ", "\0").encode()
        yield b"send\0lobby\0--id\0" + b"00" * 16 + b"\0\xff\xfe"
        yield b"tail\0#lobby\0--since\0" + str(2**53 - 1).encode()
        yield b"rooms\0--server\0[::1]:7000,localhost:70\0--connect-within\0.5"
        yield from (b"operator\0" + act.replace(b" ", b"\0") for act in OPERATING)

    def run(self, data: bytes) -> Hashable:
        words = self._words(data)
        told = io.StringIO()
        try:
            with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
                args = _parser(frozenset(cli.COMMANDS) & set(words)).parse_args(words)
                if hasattr(args, "server"):
                    identity.servers(args)
        except SystemExit as error:
            return refused(error, told.getvalue())
        for field in ("room", "name"):
            common.room_of(getattr(args, field, None) or "")
        if isinstance(getattr(args, "text", None), list):
            with contextlib.suppress(common.NoTextError):
                common.argument_text(args.text).encode()
        if getattr(args, "id", None) is not None:
            ids = send.line_ids(args.id, 3)
            assert len(set(ids)) == 3
            assert all(len(one) == 16 for one in [*ids, *send.line_ids(args.id, 1)])
        return args.command, *sorted(key for key, value in vars(args).items() if value)

    def parse(self, data: bytes) -> object:
        words, told = self._words(data), io.StringIO()
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
            with contextlib.suppress(SystemExit):
                return cli._parser(words).parse_args(words)
            return None

    def _words(self, data: bytes) -> list[str]:
        return [os.fsdecode(word) for word in data.split(b"\0")] if data else []


@functools.lru_cache(maxsize=16)
def _parser(named: frozenset[str]) -> argparse.ArgumentParser:
    """The parser of every command line with these commands in it: making one takes longest."""
    return cli._parser(sorted(named))


OPERATING = (
    b"add Radha", b"remove Radha --data var", b"suspend Eve --for 2h --reason spam",
    b"unsuspend Eve", b"rename Eve Adam", b"close lobby --reason over", b"announce hello all",
    b"audit -n 7 --json", b"people",
)  # fmt: skip


class Names(Target):
    """Names and rooms: one spelling, or Refused; and every rule is stable under repetition.

    And passwords and tokens: taken to the server, or Refused.
    """

    name = "names"
    modules = (names, scripts)
    most = 1024  # nothing longer than 64 characters comes by a socket

    def __init__(self) -> None:
        self.mutators = (Text([b"@", b":", b"12", b"alice", "Алиса".encode(), b"'s", b"://"]),)

    def seeds(self) -> Iterable[bytes]:
        yield from (text.encode("utf-8", "surrogatepass") for text in HOSTILE[::9])
        for text in ("alice", "Ärger", "李雷", "Алиса", "ﬃ①", "@12:57", "a@b @bob's. @x", "१२"):
            yield text.encode()

    def run(self, data: bytes) -> Hashable:
        text = data.decode("utf-8", "surrogateescape")  # as the command line gives it
        _greet(text)
        key = name_key(text)
        assert name_key(key) == key, "the key of a key is another"
        looks = skeleton(text[:64])
        assert skeleton(looks) == looks, "the skeleton of a skeleton is another"
        found = mentions(text)
        assert len(found) <= names.MAX_MENTIONS
        assert all(one in text for one in found)
        pair = direct_pair(text)
        if pair is not None:
            assert direct_pair(direct_room(*pair)) == tuple(sorted(pair))
        try:
            name = check_name(text)
        except Refused as error:
            return clipped(error), bool(found), pair is None
        assert check_name(name) == name, "a name that may be one is spelled otherwise"
        assert name_key(name) == key
        assert visible(name) == name, "a name that is not shown as it is"
        assert_harmless(name)
        assert direct_pair(name) is None
        return len(name), bool(found)

    def parse(self, data: bytes) -> object:
        text = data.decode("utf-8", "replace")
        with contextlib.suppress(Refused):
            check_name(text)
        return name_key(text), direct_pair(text), skeleton(text[:64])


def _greet(text: str) -> None:
    """Whoever may be somebody can be told to a server, whatever proves it."""
    for who in (Identity(name="Radha", password=text), Identity(device=text), Identity(token=text)):
        with contextlib.suppress(Refused):
            who.check()
            frames.encoder.encode(who.greeting(0, {}))


class Query(Target):
    """A search: an expression that SQLite takes, or Refused."""

    name = "query"
    modules = (worker_query,)
    most = 800  # 200 characters, as the frame has it

    def __init__(self) -> None:
        words = [
            b'"', b"*", b"-", b"from:", b"in:", b"before:", b"after:", b"2026-01-31", b"0000-00-00",
            b" ", b"AND", b"OR", b"NOT", b"NEAR(", b"^", b"{text}", b":", b"\0", b"#lobby", b"@bob",
        ]  # fmt: skip
        self.mutators = (Text(words),)
        self._index = sqlite3.connect(":memory:")
        # As worker/migrations/versions/v0003_search.py makes it.
        self._index.execute(
            "CREATE VIRTUAL TABLE words USING fts5(text, who, content='', columnsize=0,"
            " tokenize='unicode61 remove_diacritics 2')"
        )

    def seeds(self) -> Iterable[bytes]:
        yield b'deploy "green button" rollb* -staging from:alice in:ops after:2026-01-31'
        for text in ("漢字 かな*", "“deploy”", "é* ﬃ", "-a b", "before:9999-12-31 x", 'a"b"c', "*"):
            yield text.encode()

    def run(self, data: bytes) -> Hashable:
        try:
            found = parse(data.decode("utf-8", "replace")[:200])
        except Refused as error:
            return clipped(error)
        for words in (found.words, found.without):
            if words:
                self._index.execute("SELECT rowid FROM words WHERE words MATCH ?", (words,))
        assert found.before >= 0
        assert found.after >= 0
        shape = (len(found.terms), bool(found.without), bool(found.sender), bool(found.room))
        return *shape, bool(found.before), bool(found.after)

    def parse(self, data: bytes) -> object:
        with contextlib.suppress(Refused):
            return parse(data.decode("utf-8", "replace")[:200])
        return None

    def close(self) -> None:
        self._index.close()


class Texts(Target):
    """A message as the owner takes it apart: who is named in it, and its words for the index."""

    name = "texts"
    modules = (names, worker_query, ranking)
    most = LONGEST_TEXT * 2  # bytes; most characters that hurt have two or three

    def __init__(self) -> None:
        self.mutators = (Text([b"@", b"@bob's. ", b"https://", b"a@b", "漢".encode(), b"\0"]),)

    def seeds(self) -> Iterable[bytes]:
        yield from (text.encode("utf-8", "surrogatepass") for text in HOSTILE[::12])
        for text in ("hi @bob's.", "see https://x.y/@z or mail a@b.c", "漢字@李雷さん", "ﬃ é"):
            yield text.encode()

    def run(self, data: bytes) -> Hashable:
        text = data.decode("utf-8", "replace")[:LONGEST_TEXT]
        found = mentions(text)
        assert len(found) == len(set(found)) <= names.MAX_MENTIONS
        words = folded(spaced(text))
        assert folded(words) == words, "words folded twice are others"
        return min(len(found), 9), bool(words), words == text, zlib.crc32(data) % 2

    def parse(self, data: bytes) -> object:
        text = data.decode("utf-8", "replace")[:LONGEST_TEXT]
        return mentions(text), spaced(text)
