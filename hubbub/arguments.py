"""A parser of command lines."""

from __future__ import annotations

import argparse
from typing import Any


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
