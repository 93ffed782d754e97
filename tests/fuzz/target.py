"""What is fuzzed: a parser, what may come out of it, and how inputs for it are made."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from types import ModuleType
from typing import TypeAlias

from tests.fuzz import measure
from tests.fuzz.mutate import Bytes, Mutator

Feed: TypeAlias = Callable[[bytes], object]


class Target:
    """One parser. The class's docstring says what holds for every input.

    Attributes:
        modules: those whose lines say whether an input reached anything new.
        most: bytes that an input may have: what the parser is given at most where it stands.
        bound: bytes that one parser may hold, whatever it is fed with; 0: it holds nothing.
    """

    name = ""
    modules: Sequence[ModuleType] = ()
    most = 64 * 1024
    bound = 0

    def __init__(self) -> None:
        self.mutators: Sequence[Mutator] = (Bytes(()),)

    def seeds(self) -> Iterable[bytes]:
        """Good inputs to begin with, made anew so that what is added to a language is among them.

        The kept corpus comes on top.
        """
        return ()

    def run(self, data: bytes) -> Hashable:
        """Give the parser an input and look at all that holds.

        Returns what came out, roughly: an outcome not seen before counts like a line not reached
        before, for parsers written in C.

        Raises:
            BaseException: whatever is no declared error; an AssertionError when a rule is broken.
        """
        raise NotImplementedError

    def parse(self, data: bytes) -> object:
        """Only what the product does with an input, once: this is what is measured."""
        return self.run(data)

    def cost(self, data: bytes) -> float:
        """Seconds of processor time that the product needs in one go for an input.

        Of an input that comes in pieces, with a turn of the event loop between them, that of the
        piece that takes longest.
        """
        return measure.seconds(lambda: self.parse(data))

    def feeder(self) -> Feed | None:
        """One parser that is fed with one input after the other; None: there is no such thing."""
        return None

    def close(self) -> None:
        """Remove what it made outside of memory."""


def clipped(reason: object) -> str:
    """What an error says without what differs from input to input: an outcome."""
    text = str(reason)[:120]
    return "".join(c if c.isascii() and not c.isdigit() else "?" for c in text.split("'")[0])


def which(text: object, *known: str) -> str:
    """Which of these an error says first, of one that quotes what it was given."""
    return next((one for one in known if one in str(text)), "")


_WRONG = (
    "unrecognized arguments", "expected one argument", "invalid choice", "are required",
    "ambiguous", "ignored explicit argument", "not allowed with", "invalid", "usage:",
)  # fmt: skip


def refused(error: SystemExit, told: str) -> Hashable:
    """The outcome of words that argparse takes for --help or for wrong.

    Raises:
        AssertionError: another exit status than 0 or 2.
    """
    assert error.code in (0, 2), error.code
    return error.code, which(told.rpartition("error: ")[2], *_WRONG)
