"""What a name looks like, and which scripts it is written in: UTS #39 over hubbub/unicode_data.py.

Loaded by hubbub/names.py when a name needs it: brokers, gateways and most clients
never do.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from functools import cache
from typing import NamedTuple

# UAX #31, table 5: the scripts in everyday use. Latin goes with one of them in one name, but not
# with Cyrillic or Greek, whose letters look like its own ("Moderately Restrictive").
_CODES = """
Arab Armn Beng Bopo Deva Ethi Geor Gujr Guru Hang Hani Hebr Hira Kana Khmr Knda Laoo Mlym Mymr Orya
Sinh Taml Telu Thaa Thai Tibt
"""
_EVERYDAY = frozenset(_CODES.split())
# Scripts that are written together, by the names that UTS #39 gives to the whole.
_WHOLES = {
    "Hani": ("Hanb", "Jpan", "Kore"),
    "Hira": ("Jpan",),
    "Kana": ("Jpan",),
    "Hang": ("Kore",),
    "Bopo": ("Hanb",),
}
_WITH_LATIN = _EVERYDAY | {"Hanb", "Jpan", "Kore"}


class _Range(NamedTuple):
    first: int
    last: int
    scripts: frozenset[str]


def skeleton(name: str) -> str:
    """What `name` looks like: two names with one skeleton are taken for each other by people.

    That of a skeleton is itself. Capitals and small letters have one skeleton, but for the few
    whose two forms look like different letters (Greek Ν looks like N, and ν like v).
    """
    alike = _alike()
    normal = unicodedata.normalize("NFKD", name)
    if normal.isascii():
        return normal.lower().translate(alike)
    # A newer Python folds letters that the table's did not know: what they become is looked up.
    folded = "".join(alike.get(ord(c)) or c.casefold() for c in normal)
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", folded).translate(alike))


def mixes_scripts(name: str) -> bool:
    """True for letters of scripts that nobody writes together, such as Latin and Cyrillic."""
    each = [scripts for character in name if (scripts := _scripts(character))]
    if _in_common(each):
        return False
    others = [scripts for scripts in each if "Latn" not in scripts]
    return not _in_common(others) & _WITH_LATIN


def _in_common(each: list[frozenset[str]]) -> frozenset[str]:
    """Scripts that could have written all of them; of nothing, any Latin goes with."""
    return frozenset.intersection(*each) if each else _WITH_LATIN


def _scripts(character: str) -> frozenset[str]:
    """The scripts of a character, empty when it belongs to all."""
    ranges = _ranges()
    number = ord(character)
    at = bisect_right(ranges, number, key=lambda one: one.first) - 1
    return ranges[at].scripts if at >= 0 and number <= ranges[at].last else frozenset()


@cache
def _alike() -> dict[int, str]:
    from hubbub.unicode_data import ALIKE

    table: dict[int, str] = {}
    prototype = ""
    for word in ALIKE.split():
        if word.endswith(":"):
            prototype = "".join(chr(int(number, 16)) for number in word[:-1].split("+"))
        else:
            table[int(word, 16)] = prototype
    return table


@cache
def _ranges() -> list[_Range]:
    from hubbub.unicode_data import SCRIPTS

    found: list[_Range] = []
    scripts: frozenset[str] = frozenset()
    for word in SCRIPTS.split():
        if word.endswith(":"):
            names = word[:-1].split(",")
            scripts = frozenset(names).union(*(_WHOLES.get(name, ()) for name in names))
        else:
            first, _, last = word.partition("-")
            found.append(_Range(int(first, 16), int(last, 16), scripts))
    return sorted(found)
