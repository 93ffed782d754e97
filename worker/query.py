"""What people type to search, read into what the index is asked. Pure.

    deploy "green button" rollb* -staging from:alice in:ops after:2026-01-31

Words must all be there, in any order and in any case, with or without accents. A phrase stands in
quotes. A `*` at the end stands for any ending, a `-` in front for what must not be there.
`before:DATE` means before that day began, `after:DATE` after that day was over, as in other chats;
days are UTC's. Whatever is no letter and no digit only separates words, here as in the messages.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from typing import NamedTuple

from hubbub.errors import Code, Refused

MAX_WORDS = 20  # a phrase counts as one; each is looked up
MAX_PREFIXES = 2  # each costs what all its endings cost together: some 25 ms a million messages
MIN_PREFIX = 2  # letters
DAY = 24 * 3600 * 1000  # ms

FILTERS = ("from", "in", "before", "after")

# Written without spaces between words, so each character is indexed as a word of its own and what
# is looked for is a phrase of them: Thai, Lao, Burmese, Khmer, kana, Chinese characters, hangul.
# Whoever changes this, or `spaced`, has to have every message indexed anew.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
# Normalizing sorts the marks on one letter, in quadratic time: of 16,000 it takes 0.2 s.
MOST_MARKS = 30  # in a row, as in UAX #15, Stream-Safe Text Format
_FLOOD = re.compile(rf"[^\w\0-\u02ff]{{{MOST_MARKS + 1},}}")
_PIECE = re.compile(r'(-?)"([^"]*)"?(\*?)|(\S+)')
_WORD = re.compile(r"[^\W_]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_QUOTES = str.maketrans("“”„‟«»\0", '"""""" ')
_EPOCH = datetime.date(1970, 1, 1).toordinal()


class Term(NamedTuple):
    """One word or phrase that is looked for, as `folded` writes it."""

    text: str
    prefix: bool


class Query(NamedTuple):
    """What is looked for. `words` and `without` are expressions of FTS5, or empty."""

    words: str  # all of this is there
    sender: str  # the name after `from:`
    room: str  # what stands after `in:`: `lobby`, `#lobby` or `@bob`
    before: int  # milliseconds since 1970, UTC; said before that. 0: any time
    after: int  # likewise: said then or later
    without: str = ""  # nothing of this is there
    terms: tuple[Term, ...] = ()  # what `words` is made of, for ranking


def spaced(text: str) -> str:
    """The form of a text that is given to the index, and of what is looked for in it."""
    if text.isascii():
        return text
    text = _FLOOD.sub(_parted, text)
    return _UNSPACED.sub(r" \g<0> ", unicodedata.normalize("NFKC", text))


def _parted(flood: re.Match[str]) -> str:
    """A run of marks in parts that do not change places with each other: U+034F between them."""
    marks = flood[0]
    return "\u034f".join(marks[at : at + MOST_MARKS] for at in range(0, len(marks), MOST_MARKS))


def folded(text: str) -> str:
    """The words of `spaced` text with one space between them, without case and accents."""
    if not text.isascii():
        text = _ACCENTS.sub("", unicodedata.normalize("NFD", text))
    return " ".join(_WORD.findall(text.casefold()))


def parse(text: str) -> Query:
    """Read what somebody typed.

    Raises:
        Refused: with `bad_query` and a sentence that says what to write instead.
    """
    filters: dict[str, str] = {}
    wanted: dict[Term, str] = {}
    unwanted: dict[Term, str] = {}
    # A lone surrogate can be typed in Python alone, and stored nowhere.
    text = text.encode("utf-8", "replace").decode().translate(_QUOTES)
    for minus, phrase, star, piece in _PIECE.findall(text):
        if piece and _is_filter(piece, filters):
            continue
        if piece:
            # `--verbose` and `-` are words and signs, not exclusions.
            minus = "-" if len(piece) > 1 and piece[0] == "-" and piece[1].isalnum() else ""
            phrase = piece[len(minus) :]
            star = "*" if phrase.endswith("*") else ""
        found = _expression(phrase, prefix=bool(star))
        if found is not None:
            term, expression = found
            (unwanted if minus else wanted)[term] = expression
    _check(filters, wanted, unwanted)
    return Query(
        words=" AND ".join(wanted.values()),
        sender=filters.get("from", ""),
        room=filters.get("in", ""),
        before=max(_day(filters["before"]) * DAY, 1) if "before" in filters else 0,
        after=max((_day(filters["after"]) + 1) * DAY, 1) if "after" in filters else 0,
        without=" OR ".join(unwanted.values()),
        terms=tuple(wanted),
    )


def _is_filter(piece: str, filters: dict[str, str]) -> bool:
    """Whether this is a filter, which then is among `filters`."""
    name, colon, value = piece.partition(":")
    name = name.casefold()
    if colon and name.startswith("-") and name[1:] in FILTERS:
        raise Refused(Code.BAD_QUERY, f"{name[1:]}: cannot be excluded, only words can")
    if not colon or name not in FILTERS:
        return False
    if name in filters:
        raise Refused(Code.BAD_QUERY, f"give {name}: only once")
    value = value.strip('"')
    if name == "from":
        value = value.removeprefix("@")
    if not value or value in ("#", "@"):
        example = {"from": "alice", "in": "lobby"}.get(name, "2026-01-31")
        raise Refused(Code.BAD_QUERY, f"something has to follow {name}: as in {name}:{example}")
    filters[name] = value
    return True


def _expression(phrase: str, *, prefix: bool) -> tuple[Term, str] | None:
    """A word or phrase and its FTS5 expression, None when no letter or digit is in it."""
    text = spaced(phrase.replace('"', " "))
    words = _WORD.findall(text)
    if not words:
        return None
    last = words[-1]
    # Each such character is a word of its own: it has no other endings.
    prefix = prefix and not _UNSPACED.match(last)
    if prefix and len(last) < MIN_PREFIX:
        raise Refused(Code.BAD_QUERY, f"write at least {MIN_PREFIX} letters in front of a *")
    return Term(folded(text), prefix), f'"{text.strip(" *")}"' + ("*" if prefix else "")


def _check(filters: dict[str, str], wanted: dict[Term, str], unwanted: dict[Term, str]) -> None:
    if not filters and not wanted and not unwanted:
        raise Refused(Code.BAD_QUERY, "write a word to look for: it has letters or digits")
    if len(wanted) + len(unwanted) > MAX_WORDS:
        raise Refused(Code.BAD_QUERY, f"look for at most {MAX_WORDS} words at once")
    if sum(term.prefix for term in (*wanted, *unwanted)) > MAX_PREFIXES:
        raise Refused(Code.BAD_QUERY, f"at most {MAX_PREFIXES} words may end with a *")
    if unwanted and not wanted and not filters.keys() & {"from", "in"}:
        raise Refused(Code.BAD_QUERY, "write also a word that has to be there, or from: or in:")


def _day(value: str) -> int:
    """The number of days since 1970."""
    matched = _DATE.fullmatch(value)
    try:
        if matched is None:
            raise ValueError(value)
        year, month, day = (int(part) for part in matched.groups())
        return datetime.date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        raise Refused(Code.BAD_QUERY, "write a date like 2026-01-31") from None
