"""A parser of command lines."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from typing import Any

_WORD = "\0"  # before a word that begins with a dash; nothing of a command line has this character


class ArgumentParser(argparse.ArgumentParser):
    """argparse's, with two dashes for a value as in `--flag=--`.

    Before Python 3.12.2 and 3.13 argparse drops them and gives an empty list (cpython 109475).
    """

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if action.option_strings and action.nargs is None and arg_strings == ["--"]:
            value = self._get_value(action, "--")
            self._check_value(action, value)
            return value
        return super()._get_values(action, arg_strings)


class CommandParser(ArgumentParser):
    """The parser of a subcommand: options may stand anywhere, all after `--` are words.

    What it does not know it refuses itself, so that its own usage is shown.
    """

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Like argparse's; nothing is left over."""
        given = list(args or ())
        if not any(action.nargs == argparse.PARSER for action in self._actions):
            given = self._words_first(given)
        found, extras = super().parse_known_args(given, namespace)
        if extras:
            words = " ".join(word.removeprefix(_WORD) for word in extras)
            self.error(f"unrecognized arguments: {words}")
        return found, extras

    def _words_first(self, given: list[str]) -> list[str]:
        # Not parse_intermixed_args, which uses parse_known_args itself, and after which what
        # stands behind two dashes is an option again in some versions of Python.
        words: list[str] = []
        options: list[str] = []
        rest = iter(given)
        for argument in rest:
            if argument == "--":
                words += rest
            elif self._parse_optional(argument) is None:
                words.append(argument)
            else:
                options.append(argument)
                if self._takes_next(argument):
                    options += itertools.islice(rest, 1)
        return [_WORD + word if word.startswith("-") else word for word in words] + options

    def _takes_next(self, option: str) -> bool:
        """Whether the value of an option, as it is written, is the argument behind it."""
        found: Any = self._parse_optional(option)
        action, *_, value = found[0] if isinstance(found, list) else found  # since Python 3.12
        return action is not None and action.nargs is None and value is None

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        return super()._get_value(action, arg_string.removeprefix(_WORD))
