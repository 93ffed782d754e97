"""What people type to search."""

from __future__ import annotations

import datetime
import sqlite3

import pytest
from hypothesis import given, strategies as st

from hubbub.errors import Code, Refused
from worker.query import MAX_PREFIXES, MAX_WORDS, Query, folded, parse, spaced

TABLE = (
    "CREATE VIRTUAL TABLE words USING fts5(text, who, content='', columnsize=0,"
    " tokenize='unicode61 remove_diacritics 2')"
)


@pytest.fixture(scope="module")
def raw() -> sqlite3.Connection:
    """A real index of nothing."""
    raw = sqlite3.connect(":memory:", isolation_level=None)
    raw.execute(TABLE)
    return raw


def finds(asked: str, text: str) -> bool:
    """Whether the real index finds this text."""
    raw = sqlite3.connect(":memory:", isolation_level=None)
    raw.execute(TABLE)
    raw.execute("INSERT INTO words (rowid, text, who) VALUES (1, ?, 's1 r1')", (spaced(text),))
    query = parse(asked)
    match = f"text : ({query.words})"
    if query.without:
        match = f"({match}) NOT (text : ({query.without}))"
    found = raw.execute("SELECT rowid FROM words WHERE words MATCH ?", (match,)).fetchall()
    raw.close()
    return found == [(1,)]


def refusal(asked: str) -> str:
    """The sentence with which it is refused."""
    with pytest.raises(Refused) as refused:
        parse(asked)
    assert refused.value.code is Code.BAD_QUERY
    return refused.value.text


def ms(*date: int) -> int:
    """When a day of UTC begins."""
    return int(datetime.datetime(*date, tzinfo=datetime.UTC).timestamp() * 1000)  # type: ignore[misc,arg-type]


# What is special to FTS5, to this parser, or to Unicode, and everything else, too.
SPECIAL = "\"|'|*|-|^|:|(|)|+|{|}|,|.| |\0|\n|a|bc|AND|OR|NOT|NEAR(|text :|from:|in:#|after:"
UNICODE = "before:2026-01-31 |“|é|е|東京|สวัส|ß|ﷺ|\ud800|ⅷ|\ue000|🙂|𝔸"
parts = st.sampled_from(f"{SPECIAL}|{UNICODE}".split("|")) | st.characters()
typed = st.lists(parts, max_size=40).map("".join)


@given(typed)
def test_whatever_is_typed_is_a_query_or_refused(raw: sqlite3.Connection, text: str) -> None:
    """“Any string gives a Query or Refused, and every Query runs without error.”"""
    try:
        query = parse(text)
    except Refused:
        assert refusal(text).isascii()
        return
    run = "SELECT rowid FROM words WHERE words MATCH ?"
    for expression in filter(None, (query.words, query.without)):
        assert raw.execute(run, (expression,)).fetchall() == []
        assert raw.execute(run, (f"text : ({expression})",)).fetchall() == []
    assert any((query.words, query.sender, query.room, query.before, query.after))


@given(st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=20))
def test_a_word_finds_itself(word: str) -> None:
    """“Words that must all be there”: what stands in a message can be looked for as it stands."""
    asked = f'"{word}"'
    raw = sqlite3.connect(":memory:")
    raw.execute(TABLE)
    raw.execute("INSERT INTO words (rowid, text, who) VALUES (1, ?, '')", (spaced(word),))
    # A script that is younger than SQLite's tables has no letters for it: then there is no index.
    raw.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, words, row)")
    indexed = raw.execute("SELECT count(*) FROM temp.terms").fetchone()[0]
    raw.close()
    assert finds(asked, word) or not indexed


def test_words_must_all_be_there_in_any_order_case_and_accent() -> None:
    """“`text` holds words that must all be there.”"""
    assert finds("Green BUTTON", "the button is green")
    assert finds("uber cafe", "Über das Café")
    assert finds("Straße", "in der straße")
    assert not finds("green button", "the green lamp")


def test_a_phrase_stands_in_quotes() -> None:
    """“"phrases in quotes"”, of whichever kind a telephone types."""
    assert finds('"green button"', "a green button!")
    assert finds("“green button”", "a green button!")
    assert not finds('"green button"', "a button, green")
    assert not finds('"green button', "a button, green")  # the closing quote may be missing


def test_a_star_stands_for_any_ending_and_a_dash_for_what_is_not_there() -> None:
    """“A trailing * for prefix is allowed; `-word` excludes.”"""
    assert finds("roll*", "we rolled back")
    assert not finds("roll", "we rolled back")
    assert finds('"we roll"*', "we rolled back")
    assert not finds("we -rolled", "we rolled back")
    assert not finds('we -"rolled back"', "we rolled back")
    assert not finds("we -roll*", "we rolled back")
    assert finds("we -wrapped", "we rolled back")
    assert finds("--verbose", "use --verbose")  # no exclusion: an option


def test_what_means_something_to_the_index_is_only_a_word() -> None:
    """“Never raw user syntax.”"""
    assert finds("AND or NOT near", "and OR not NEAR")
    assert not finds("one OR two", "two")
    assert finds("text:(one) ^one NEAR(one)", "near one, text one")
    assert parse('a"b').words == '"a b"'
    assert finds("don't v1.2", "I don't know v1.2")


def test_writing_without_spaces_is_found_by_any_part() -> None:
    """Full-text search is for everybody: also where no space stands between words."""
    assert finds("東京", "私は東京に住んでいます")
    assert not finds("京東", "私は東京に住んでいます")
    assert finds("สวัสดี", "สวัสดีครับ")
    assert finds("학교", "학교에서 만나요")
    assert finds("東京*", "東京都")
    assert finds("ｈｅｌｌｏ", "hello")


def test_filters_are_told_from_words() -> None:
    """“`from:NAME`, `in:ROOM`, `before:2026-01-31`, `after:2026-01-31`.”"""
    query = parse("deploy from:@Alice IN:#lobby before:2026-02-01 after:2026-01-29 https://x.y")
    assert query == Query(
        words='"deploy" AND "https://x.y"',
        sender="Alice",
        room="#lobby",
        before=ms(2026, 2, 1),
        after=ms(2026, 1, 30),
        terms=parse("deploy https://x.y").terms,
    )
    assert parse("in:@bob").room == "@bob"
    assert parse('from:"bob" -x').without == '"x"'


def test_only_filters_are_a_query_but_nothing_at_all_is_none() -> None:
    """“Only filters and no words: allowed.”"""
    assert parse("from:bob") == Query("", "bob", "", 0, 0)
    assert parse("before:1970-01-01").before == 1
    assert parse("after:9999-12-31").after > ms(9999, 12, 31)
    for nothing in ("", " ", '""', "!?", "-", "*", "🙂"):
        assert "word" in refusal(nothing)


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("x before:yesterday", "2026-01-31"),
        ("x before:2026-02-30", "2026-01-31"),
        ("x after:20260131", "2026-01-31"),
        ("x after:٢٠٢٦-01-31", "2026-01-31"),
        ("x from:", "from:alice"),
        ("x in:#", "in:lobby"),
        ("from:a from:b", "from: only once"),
        ("x -from:bob", "only words"),
        ("-x", "has to be there"),
        ("-x before:2026-01-31", "has to be there"),
        ("a*", "at least 2 letters"),
        ("ab* " * 2 + "cd* ef*", f"at most {MAX_PREFIXES}"),
        (" ".join(f"w{n}" for n in range(MAX_WORDS + 1)), f"at most {MAX_WORDS}"),
    ],
)
def test_a_refusal_says_what_to_write_instead(asked: str, part: str) -> None:
    """“The peer gets a code and a sentence to act on.”"""
    assert part in refusal(asked)


def test_a_word_that_is_typed_twice_is_one() -> None:
    """What is looked up costs; the bound counts what differs."""
    assert parse("x X x " * 30).words.count("AND") == 0
    assert parse("x" + " y" * 100).terms == parse("x y").terms


def test_words_are_compared_for_ranking_as_the_index_compares_them() -> None:
    """What ranks has to count the words that were found."""
    assert folded(spaced("Über_das  CAFÉ, 東京!")) == "uber das cafe 東 京"
