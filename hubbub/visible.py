"""Texts of strangers made fit to be looked at: in a terminal, in a log. Pure."""

from __future__ import annotations

import unicodedata

MARKS = 8  # combining marks on one character; no script needs more, and floods cover other lines

# Characters that show nothing though they are no format characters: fillers, selectors of variants.
# Unicode calls them Default_Ignorable_Code_Point; the blank of Braille is none, and as empty.
_HIDDEN = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xE0100, 0xE01EF),
)
_JOINERS = "\u200c\u200d"  # shape several scripts, and join emoji to one
_EMOJI_IN_WORDS = "0123456789\u2139"  # of letters and digits these alone are emoji, too
_EMOJI_OR_TEXT = "\ufe0e\ufe0f"  # how a symbol is to be shown


def is_hidden(character: str) -> bool:
    """Whether it shows nothing, though its category is that of a letter, mark or symbol."""
    return any(first <= ord(character) <= last for first, last in _HIDDEN)


def hangs(character: str, category: str) -> bool:
    """Whether it is drawn into the cell of what stands before: a mark, or a vowel or end of hangul.

    Those of hangul are letters; whole syllables are other characters, with cells of their own.
    """
    jamo = "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7ff"
    return jamo or category[0] == "M"


def visible(text: str) -> str:
    r"""`text` with all that a terminal would obey or hide made visible, as in `\x1b` or `\u202e`.

    Control characters (also line ends), bidirectional and other format characters, separators
    other than the space, private and unassigned characters, invisible letters and marks, and
    floods of combining marks.
    """
    if text.isascii() and text.isprintable():
        return text
    shown = []
    marks = 0
    before = ""
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if hangs(character, category) else 0
        if marks <= MARKS and _is_harmless(character, category, before):
            shown.append(character)
            before = character
        else:
            shown.append(_escaped(character))
            before = ""  # an escaped one is no longer there to be joined or changed
    return "".join(shown)


def _is_harmless(character: str, category: str, before: str) -> bool:
    if category == "Cn":
        # New emoji are unassigned to an older Python; the rest may turn out to be anything.
        return "\U0001f000" <= character <= "\U0001faff"
    if hangs(character, category) and not before:
        return False  # would hang on what stands before the text
    if category[0] == "C" or category in ("Zl", "Zp"):
        return character in _JOINERS and _is_joined(before)
    if character != "\u2800" and is_hidden(character):
        return _is_variant(character, before)
    return category != "Zs" or character in " \u3000"


def _is_joined(before: str) -> bool:
    """After a symbol, or a letter or mark of the scripts from Arabic to Mongolian."""
    if not before or is_hidden(before):
        return before in ("\ufe0e", "\ufe0f")
    category = unicodedata.category(before)
    # Of the modifiers (Sk) only those of emoji, the colours of skin; "^" is one, too.
    symbol = category in ("So", "Cn") or "\U0001f3fb" <= before <= "\U0001f3ff"
    return symbol or (category[0] in "LM" and "\u0590" < before < "\u1cff")


def _is_variant(character: str, before: str) -> bool:
    """A selector that changes the looks of the symbol or ideograph it follows: one, no more."""
    if character in _EMOJI_OR_TEXT:
        if not before > " " or before == "\u2800":
            return False
        return before in _EMOJI_IN_WORDS or unicodedata.category(before)[0] in "SP"
    ideograph = "\u3400" <= before <= "\u9fff" or "\U00020000" <= before <= "\U0003fffd"
    # Those that Unicode keeps for ideographs; other hidden marks hide there as well as anywhere.
    return ideograph and ("\ufe00" <= character <= "\ufe0d" or character >= "\U000e0100")


def _escaped(character: str) -> str:
    number = ord(character)
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
