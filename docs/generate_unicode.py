"""Writes hubbub/unicode_data.py: what looks like what, and which script a character belongs to.

    python docs/generate_unicode.py confusables.txt "where this copy is from"

`confusables.txt` is the file of Unicode's security data (UTS #39); the scripts come from the
package fonttools (`fontTools.unicodedata`), which nothing else here needs: install it for the
occasion. Use the same version of Unicode for both. Then run tests/unit/hubbub/test_names_alike.py.
"""

from __future__ import annotations

import hashlib
import sys
import textwrap
import unicodedata
from pathlib import Path

MODULE = Path(__file__).resolve().parent.parent / "hubbub" / "unicode_data.py"

# What no name may hold, so that nothing needs to be known of it.
REFUSED = {"Cc", "Cf", "Cs", "Co", "Zs", "Zl", "Zp"}

HEAD = '''"""Facts of Unicode {version} that names are judged by. Made by docs/generate_unicode.py.

Read by hubbub/scripts.py when they are first needed. Unicode's licence lets them be passed on:
Copyright © 1991-2026 Unicode, Inc., https://www.unicode.org/license.txt

ALIKE: from UTS #39 confusables.txt ({origin}), sha256
{sha256},
folded and followed to its end (see the generator). In hexadecimal, "PROTOTYPE: CHARACTER ..." again
and again; a prototype is one or more characters joined by "+".

SCRIPTS: from Scripts.txt and ScriptExtensions.txt by way of fonttools {fonttools}. "SCRIPT,...:
FIRST-LAST ..." again and again, of characters that belong to these scripts and to no other; those
that stand nowhere belong to all.
"""

VERSION = "{version}"
'''


def generate(source: Path, origin: str) -> str:
    """The whole module."""
    from fontTools import unicodedata as scripts, version

    raw = source.read_bytes()
    text = raw.decode("utf-8-sig")
    found = next(line for line in text.splitlines() if line.startswith("# Version:"))
    entries = alike(text)
    head = HEAD.format(
        version=found.partition(":")[2].strip(),
        origin=origin,
        sha256=hashlib.sha256(raw).hexdigest(),
        fonttools=version,
    )
    return head + _constant("ALIKE", entries) + _constant("SCRIPTS", ranges(scripts))


def _constant(name: str, entries: list[str]) -> str:
    lines = textwrap.wrap(" ".join(entries), 100, break_long_words=False, break_on_hyphens=False)
    return f'\n{name} = """\n' + "\n".join(lines) + '\n"""\n'


# --- what looks like what ---------------------------------------------------------------------


def alike(text: str) -> list[str]:
    """Every character that a name may hold and that looks like something else, by what that is."""
    table = _table(text)
    ends = {c: _end(c, table) for c in map(chr, range(sys.maxunicode + 1)) if _may_stand(c)}
    for character in list(ends):
        # Cyrillic "в" is a small "В", which looks like "B": so they stay one whatever the case.
        upper = character.upper()
        if upper in ends and not ends[character].isascii() and ends[upper].isascii():
            ends[character] = ends[upper]
    ends = {c: _decomposed("".join(ends.get(d, d) for d in end)) for c, end in ends.items()}
    for end in ends.values():
        assert end == _decomposed("".join(ends.get(d, d) for d in end)), ascii(end)
    groups: dict[str, list[str]] = {}
    for character, end in ends.items():
        if end != character.casefold():
            groups.setdefault(end, []).append(character)
    return [f"{_hex(end, '+')}: {_hex(''.join(members), ' ')}" for end, members in groups.items()]


def _table(text: str) -> dict[str, str]:
    """The file's own table, and what it leaves out on purpose."""
    table = {}
    for line in text.splitlines():
        source, mark, rest = line.partition(";")
        if mark and not line.startswith("#"):
            target = rest.partition(";")[0].split()
            table[chr(int(source, 16))] = "".join(chr(int(number, 16)) for number in target)
    # The file is about letters as they are spelled, and says that "I" is "l". Names are one
    # whatever their case, so "i" is "l", too: "ALlCE" is to be taken for "Alice".
    table["i"] = "l"
    for character in map(chr, range(0x250, sys.maxunicode + 1)):
        name = unicodedata.name(character, "")
        if name.startswith("LATIN LETTER SMALL CAPITAL ") and name[-2] == " ":
            table.setdefault(character, name[-1].lower())  # in names it is a way to spell it
    return table


def _may_stand(character: str) -> bool:
    category = unicodedata.category(character)
    return category not in REFUSED and unicodedata.is_normalized("NFKD", character)


def _end(character: str, table: dict[str, str]) -> str:
    """What is reached by looking up and folding until nothing changes."""
    end = _decomposed(character)
    for _ in range(16):
        following = _decomposed("".join(_step(one, table) for one in end))
        if following == end:
            return end
        end = following
    raise ValueError(f"no end: {character!a}")


def _step(character: str, table: dict[str, str]) -> str:
    folded = character.casefold()
    found = table.get(character, folded)
    # A letter of two may be said to look like its own capital: that is no news.
    return folded if len(folded) > 1 or found.casefold() == folded else found


def _decomposed(text: str) -> str:
    return unicodedata.normalize("NFKD", text)


def _hex(text: str, between: str) -> str:
    return between.join(f"{ord(character):X}" for character in text)


# --- scripts ----------------------------------------------------------------------------------


def ranges(scripts: object) -> list[str]:
    """Stretches of characters of the same scripts, over what no name may hold."""
    found: list[tuple[int, int, frozenset[str]]] = []
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        names = frozenset(scripts.script_extension(character))  # type: ignore[attr-defined]
        if names == {"Zzzz"} or unicodedata.category(character) in REFUSED:
            continue
        if not unicodedata.is_normalized("NFKC", character):
            continue
        if found and found[-1][2] == names:
            found[-1] = (found[-1][0], number, names)
        else:
            found.append((number, number, names))
    groups: dict[str, list[str]] = {}
    for first, last, names in found:
        if not names & {"Zyyy", "Zinh"}:  # common to all, or of whatever they hang on
            groups.setdefault(",".join(sorted(names)), []).append(f"{first:X}-{last:X}")
    return [f"{names}: {' '.join(members)}" for names, members in groups.items()]


if __name__ == "__main__":
    MODULE.write_text(generate(Path(sys.argv[1]), sys.argv[2]), encoding="utf-8")
