"""Names of people and rooms: which may be, and when two are the same (docs/protocol.md, Names)."""

from __future__ import annotations

import unicodedata

from hubbub.errors import Code, Refused

MAX_NAME = 32  # characters, after NFKC
FORBIDDEN = frozenset(",:#@|/!*?")

# Cc control, Cf format (zero-width, bidirectional), Cs surrogate, Co private, Cn unassigned,
# Z* every separator. Mn and Me may not come first: they would hang on what stands before the name.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})
_REFUSED_FIRST = frozenset({"Mn", "Me"})


def name_key(name: str) -> str:
    """The form in which two names are compared: casefolded NFKC, stable under repetition."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", folded)


def check_name(name: str, what: str = "name") -> str:
    """Return the NFKC form of `name` if it may be one.

    Args:
        name: as typed.
        what: how the sentence calls it: "name" or "room".

    Raises:
        Refused: with `bad_name` and the reason.
    """
    try:
        normal = unicodedata.normalize("NFKC", name)
        normal.encode()
    except UnicodeEncodeError:
        raise Refused(Code.BAD_NAME, f"a {what} must be valid Unicode") from None
    if not 1 <= len(normal) <= MAX_NAME:
        raise Refused(Code.BAD_NAME, f"a {what} has 1 to {MAX_NAME} characters")
    for character in normal:
        if character in FORBIDDEN:
            raise Refused(Code.BAD_NAME, f"a {what} may not contain {character!r}")
        if unicodedata.category(character) in _REFUSED_CATEGORIES or character.isspace():
            raise Refused(
                Code.BAD_NAME,
                f"a {what} may not contain white space or invisible characters"
                f" (U+{ord(character):04X})",
            )
    if unicodedata.category(normal[0]) in _REFUSED_FIRST:
        raise Refused(Code.BAD_NAME, f"a {what} may not begin with a combining mark")
    return normal
