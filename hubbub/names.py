"""Names of people and rooms: which may be, and when two are the same (docs/protocol.md, Names)."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from hubbub.errors import Code, Refused
from hubbub.visible import MARKS, hangs, is_hidden

MAX_NAME = 32  # characters, after NFKC
LONGEST_TYPED = 2 * MAX_NAME  # before it: NFKC may make a name shorter, and no frame takes more
FORBIDDEN = frozenset(",:#@|/!*?")

# Cc control, Cf format (zero-width, bidirectional), Cs surrogate, Co private, Cn unassigned,
# Z* every separator. What hangs may not come first: it would hang on what stands before the name.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})
_MARKS = frozenset({"Mn", "Me"})
_MOST_MARKS = 4  # in a row, as UTS #39 has it


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
    if len(name) > LONGEST_TYPED:  # normalizing takes quadratic time
        raise Refused(Code.BAD_NAME, f"a {what} has 1 to {MAX_NAME} characters")
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
        category = unicodedata.category(character)
        if category in _REFUSED_CATEGORIES or character.isspace() or is_hidden(character):
            raise Refused(
                Code.BAD_NAME,
                f"a {what} may not contain white space or invisible characters"
                f" (U+{ord(character):04X})",
            )
    if hangs(normal[0], unicodedata.category(normal[0])):
        raise Refused(Code.BAD_NAME, f"a {what} may not begin with a combining mark")
    if not normal.isascii():
        _check_writing(normal, what)
    return normal


def _check_writing(name: str, what: str) -> None:
    """Refuse what no language writes, and is written to look like something else (UTS #39)."""
    from hubbub.scripts import mixes_scripts

    run = every = 0
    for before, character in pairwise("\0" + unicodedata.normalize("NFD", name)):
        category = unicodedata.category(character)
        run = run + 1 if category in _MARKS else 0
        every = every + 1 if hangs(character, category) else 0
        if run > _MOST_MARKS or every > MARKS or (run and before == character):
            raise Refused(Code.BAD_NAME, f"a {what} may not pile up combining marks")
    zeros = {ord(digit) - unicodedata.decimal(digit) for digit in name if digit.isdecimal()}
    if len(zeros) > 1:
        raise Refused(Code.BAD_NAME, f"a {what} may not mix digits of several scripts")
    if mixes_scripts(name):
        raise Refused(
            Code.BAD_NAME,
            f"a {what} may not mix scripts whose letters look alike, such as Latin and Cyrillic",
        )


def skeleton(name: str) -> str:
    """What `name` looks like (UTS #39): equal for "paypal", "PaypaI" and the same in Cyrillic.

    That of a skeleton is itself. Capitals and small letters look alike, "1" like "l" and "i",
    "0" like "o", "m" like "rn". Not to be stored: newer facts may give a name another one.
    """
    from hubbub import scripts  # with many facts, for the active worker alone

    return scripts.skeleton(name)


# --- mentions ---------------------------------------------------------------------------------

MAX_MENTIONS = 50  # candidates in one text
_SHORTER = 8  # candidates for one "@"
# After a letter or digit of an alphabet "@" belongs to an address of mail (a@b); in Chinese and
# the like there is no space to expect.
_MENTION = re.compile(
    r"(?<![0-9A-Za-z\u00c0-\u1fff])@"
    r"([^\s,:#@|/!*?\0-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+)"
)
_LINK = re.compile(r"[a-z][a-z0-9+.-]{0,15}://\S+", re.IGNORECASE)


def mentions(text: str) -> list[str]:
    """The names that `text` may mention as `@name`, in order, each once, at most 50.

    What follows an "@" up to white space or a character that no name has is a candidate, and so
    is each shorter one without the punctuation or the 's at its end: "@bob's." gives "bob's.",
    "bob's" and "bob". Which of them is somebody's name, the caller knows. An "@" in an address of
    mail or in a link is none.
    """
    if "@" not in text:
        return []
    if "://" in text:
        text = _LINK.sub(" ", text)
    found: dict[str, None] = {}
    for match in _MENTION.finditer(text):
        if len(match[1]) <= LONGEST_TYPED:
            found.update(dict.fromkeys(_candidates(match[1])))
            if len(found) >= MAX_MENTIONS:
                break
    return list(found)[:MAX_MENTIONS]


def _candidates(whole: str) -> list[str]:
    """`whole` and what is left of it, the punctuation at its end taken away bit by bit."""
    found = [whole]
    while len(found) < _SHORTER:
        last = found[-1]
        if last.endswith(("'s", "’s", "'S", "’S")):
            last = last[:-2]
        elif unicodedata.category(last[-1])[0] in "PS":
            last = last[:-1]
        else:
            break
        if not last:
            break
        found.append(last)
    return found


# --- conversations of two ---------------------------------------------------------------------

DIRECT = "@"


def direct_room(one: int, other: int) -> str:
    """The name of the conversation of two senders: `@12:57`, the same from both sides.

    No name of a person holds a ":", so it is not taken for one.
    """
    low, high = sorted((one, other))
    return f"{DIRECT}{low}:{high}"


def direct_pair(room: str) -> tuple[int, int] | None:
    """The senders of a conversation of two by its name, None when `room` is another kind."""
    low, colon, high = room[1:].partition(":")
    if not room.startswith(DIRECT) or not colon:
        return None
    try:
        return int(low), int(high)
    except ValueError:
        return None
