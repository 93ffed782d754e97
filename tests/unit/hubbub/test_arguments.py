"""Command lines of which argparse alone makes something else, by its version."""

from __future__ import annotations

import pytest

from hubbub.arguments import ArgumentParser, CommandParser


def parser() -> ArgumentParser:
    found = ArgumentParser(prog="it")
    found.add_argument("--name")
    found.add_argument("-n", "--number", type=int)
    found.add_argument("--kind", choices=["a", "b"])
    commands = found.add_subparsers(dest="command")
    commands.add_parser("go").add_argument("--far", type=float)
    return found


def test_two_dashes_are_a_text_like_another() -> None:
    assert parser().parse_args(["--name=--"]).name == "--"


@pytest.mark.parametrize(
    ("argv", "refusal"),
    [
        (["--num=--"], "argument -n/--number: invalid int value: '--'"),
        (["--kind=--"], "argument --kind: invalid choice: '--'"),
        (["go", "--far=--"], "argument --far: invalid float value: '--'"),
    ],
)
def test_where_no_text_may_stand_two_dashes_may_not(
    argv: list[str], refusal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(argv)
    assert refusal in capsys.readouterr().err


def test_two_dashes_alone_end_the_flags() -> None:
    found = ArgumentParser(prog="it")
    found.add_argument("--name")
    found.add_argument("text", nargs="*")
    assert found.parse_args(["--name", "x", "--", "--name"]).text == ["--name"]


def commands() -> ArgumentParser:
    found = ArgumentParser(prog="it")
    parsers = found.add_subparsers(dest="command", parser_class=CommandParser)
    send = parsers.add_parser("send")
    send.add_argument("room")
    send.add_argument("text", nargs="*")
    send.add_argument("--name")
    send.add_argument("-n", type=int)
    send.add_argument("--json", action="store_true")
    acts = parsers.add_parser("operator").add_subparsers(dest="act")
    acts.add_parser("announce").add_argument("text", nargs="+")
    acts.choices["announce"].add_argument("--name")
    return found


@pytest.mark.parametrize(
    ("line", "words", "given"),
    [
        ("send lobby --name Foo hi", "lobby hi", {"name": "Foo"}),
        ("send --json lobby hi -n -5 there --na=Foo", "lobby hi there", {"name": "Foo", "n": -5}),
        ("send --name Foo lobby", "lobby", {"name": "Foo"}),
        ("send lobby hi -n5 -- --name Foo", "lobby hi --name Foo", {"n": 5}),
        ("send -- lobby -- -n 5 --", "lobby -- -n 5 --", {}),
        ("send lobby -1 - --json", "lobby -1 -", {"json": True}),
        ("operator announce tea --name Foo is ready", "tea is ready", {"name": "Foo"}),
        ("operator announce -- --name Foo", "--name Foo", {}),
    ],
)
def test_the_options_of_a_subcommand_stand_anywhere_before_two_dashes(
    line: str, words: str, given: dict[str, object]
) -> None:
    found = vars(commands().parse_args(line.split()))
    assert [found.get("room"), *found["text"]][found["command"] == "operator" :] == words.split()
    assert {name: found[name] for name in given} == given


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        ("send lobby hi -x", "it send: error: unrecognized arguments: -x"),
        ("send lobby hi --name", "it send: error: argument --name: expected one argument"),
        ("send lobby --name -- hi", "it send: error: argument --name: expected one argument"),
        ("send --json", "it send: error: the following arguments are required: room"),
        ("operator announce x -x", "it operator announce: error: unrecognized arguments: -x"),
    ],
)
def test_what_a_subcommand_refuses_it_refuses_with_its_own_usage(
    line: str, refusal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        commands().parse_args(line.split())
    told = capsys.readouterr().err
    assert refusal in told
    assert told.startswith(f"usage: {refusal.split(':')[0]} ")
