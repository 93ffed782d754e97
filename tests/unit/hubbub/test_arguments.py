"""Command lines of which argparse alone makes something else, by its version."""

from __future__ import annotations

import pytest

from hubbub.arguments import ArgumentParser


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
