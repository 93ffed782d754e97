"""What the subcommands share: the connection's flags, exit codes, and how errors are told."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from hubbub.cli.render import visible
from hubbub.errors import Code, HubbubError, Refused, Unreachable

OK, FAILED, USAGE = 0, 1, 2
BAD_DATA, NO_INPUT, UNREACHABLE, BUG, IO_ERROR, TRY_LATER, NOT_ALLOWED = 65, 66, 69, 70, 74, 75, 77

_CODES = {
    Code.BAD_NAME: USAGE,
    Code.BAD_PASSWORD: USAGE,
    Code.BAD_QUERY: USAGE,
    Code.TOO_LARGE: BAD_DATA,
    Code.CONFLICT: BAD_DATA,
    Code.EPOCH_CHANGED: BAD_DATA,
    Code.BAD_FRAME: BUG,
    Code.WRONG_TIME: BUG,
    Code.INTERNAL: BUG,
}


NO_TEXT = "this is no UTF-8"


class NoTextError(HubbubError):
    """What is to be sent has bytes that are no text, and would not arrive as they are."""

    def __init__(self, text: str = NO_TEXT) -> None:
        super().__init__(text)


def add_connection(parser: argparse.ArgumentParser) -> None:
    """The flags of every subcommand that talks to a cluster."""
    parser.add_argument(
        "--server",
        metavar="HOST:PORT",
        help="where the cluster listens; several with ',' (default: $HUBBUB_SERVER, then"
        " 127.0.0.1:7000)",
    )
    parser.add_argument(
        "--connect-within",
        type=_seconds,
        metavar="SECONDS",
        default=10.0,
        help="how long to try to reach a server at first (default: 10); afterwards a lost"
        " connection is made again by itself",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def exit_code(error: BaseException) -> int:
    """The exit code that tells of an error."""
    if isinstance(error, Unreachable):
        return UNREACHABLE
    if isinstance(error, NoTextError):
        return BAD_DATA
    if isinstance(error, Refused):
        return TRY_LATER if error.code.retryable else _CODES.get(error.code, NOT_ALLOWED)
    return FAILED


def complain(text: str) -> None:
    """One line on standard error."""
    print(f"hubbub: {visible(text)}", file=sys.stderr, flush=True)


def run(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run a subcommand's coroutine; every expected failure becomes a line and an exit code."""
    try:
        return asyncio.run(_until_terminated(main))
    except* HubbubError as group:
        error = _first(group)
        complain(str(error))
        code = exit_code(error)
    except* BrokenPipeError:
        raise BrokenPipeError from None
    except* OSError as group:  # standard input is closed, or the state directory not ours
        complain(told(_first(group)))
        code = IO_ERROR
    return code


def told(error: BaseException) -> str:
    """An error in words, without the number that programmers know it by."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _until_terminated(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    task = asyncio.current_task()
    assert task is not None
    terminated = False

    def terminate() -> None:
        nonlocal terminated
        terminated = True
        task.cancel()  # as for Ctrl-C, so that the goodbye is said

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await main()
    except asyncio.CancelledError:
        if terminated:
            return 128 + signal.SIGTERM
        raise


def state_dir() -> Path:
    """The user's directory for what the command keeps (XDG), made with mode 0700 if need be.

    Raises:
        OSError: it cannot be made.
    """
    path = home_dir("XDG_STATE_HOME", ".local/state") / "hubbub"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def home_dir(variable: str, usual: str) -> Path:
    """The directory that a variable of XDG names, or the usual one in the user's home.

    Raises:
        OSError: the user has no home.
    """
    named = os.environ.get(variable) or ""
    if named.startswith("/"):
        return Path(named)
    try:
        return Path("~", usual).expanduser()
    except RuntimeError:
        raise OSError(f"there is no home directory; set {variable}") from None


def stdin_is_closed() -> bool:
    """Whether there is no standard input; its number may then belong to anything. Complains."""
    if sys.stdin is not None:
        return False
    complain("standard input is closed")
    return True


def room_of(typed: str) -> str:
    """A room as people write it, also with the "#" of IRC."""
    return typed.removeprefix("#")


def argument_text(words: list[str]) -> str:
    """Words of the command line as one text.

    Raises:
        NoTextError: they are no UTF-8.
    """
    try:
        return os.fsencode(" ".join(words)).decode()
    except UnicodeDecodeError:
        raise NoTextError from None


def addresses(server: str | None) -> list[str]:
    """What --server says, checked; empty for the defaults.

    Raises:
        SystemExit: it, or HUBBUB_SERVER, is not HOST:PORT.
    """
    from hubbub.client_link import parse_addresses

    given = [] if server is None else [server]
    try:
        parse_addresses(tuple(given))
    except ValueError as error:
        complain(f"{'HUBBUB_SERVER' if server is None else '--server'}: {error}")
        raise SystemExit(USAGE) from None
    return given
