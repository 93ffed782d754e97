"""Command lines that argparse alone takes for right."""

from __future__ import annotations

import pytest

from hubbub.arguments import ArgumentParser


def parser() -> ArgumentParser:
    found = ArgumentParser(prog="it")
    found.add_argument("--name")
    found.add_argument("-n", "--number", type=int)
    commands = found.add_subparsers(dest="command")
    commands.add_parser("go").add_argument("--far", type=float)
    return found


@pytest.mark.parametrize(
    ("argv", "flag"),
    [
        (["--name=--"], "--name"),
        (["--num=--"], "-n/--number"),
        (["go", "--far=--"], "--far"),
    ],
)
def test_two_dashes_are_no_value(
    argv: list[str], flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(argv)
    assert f"argument {flag}: expected one argument" in capsys.readouterr().err


def test_what_has_a_value_is_taken() -> None:
    found = parser().parse_args(["--name=-", "-n", "3", "go", "--far", "2"])
    assert (found.name, found.number, found.far) == ("-", 3, 2.0)
