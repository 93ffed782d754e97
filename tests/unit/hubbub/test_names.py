"""Names: which may be, and when two are the same."""

import unicodedata

import pytest
from hypothesis import example, given, strategies as st

from hubbub.errors import Code, Refused
from hubbub.names import (
    FORBIDDEN,
    MAX_MENTIONS,
    MAX_NAME,
    check_name,
    direct_pair,
    direct_room,
    mentions,
    name_key,
)


@pytest.mark.parametrize("name", ["lobby", "Radha", "Ünïcode", "名前", "a" * MAX_NAME, "x-y_z.1"])
def test_an_ordinary_name_is_kept_as_it_is(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * (MAX_NAME + 1),
        "two words",
        "lobby\n",
        "tab\there",
        "zero\u200bwidth",
        "\u202eright-to-left",
        "esc\x1b[31m",
        "soft\u00adhyphen",
        "nul\x00",
        "\u0301accent-first",
        "lone\ud800surrogate",
        "\u3164",
        "Hangul\u115ffiller",
        "selected\ufe0f",
        "braille\u2800blank",
        *FORBIDDEN,
    ],
)
def test_a_name_that_could_mislead_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises(Refused) as refusal:
        check_name(name, "room")
    assert refusal.value.code is Code.BAD_NAME
    assert "room" in refusal.value.text


@given(st.text(max_size=40))
def test_whatever_is_accepted_is_short_visible_and_in_nfkc(text: str) -> None:
    try:
        name = check_name(text)
    except Refused:
        return
    assert 1 <= len(name) <= MAX_NAME
    assert unicodedata.is_normalized("NFKC", name)
    assert name.split() == [name]
    assert not FORBIDDEN & set(name)


@given(st.text(max_size=40))
def test_the_key_of_a_key_is_itself(text: str) -> None:
    assert name_key(name_key(text)) == name_key(text)


def test_names_that_differ_only_in_case_or_width_have_one_key() -> None:
    assert name_key("Radha") == name_key("RADHA") == name_key("Ｒａｄｈａ")
    assert name_key("STRASSE") == name_key("straße")


@given(st.text(max_size=40))
def test_a_name_that_was_taken_is_taken_again_and_is_the_same_as_it_was_typed(text: str) -> None:
    try:
        name = check_name(text)
    except Refused:
        return
    assert check_name(name) == name
    assert name_key(name) == name_key(text)


@given(st.integers(0, 2**53), st.integers(0, 2**53))
def test_a_conversation_of_two_has_one_name_from_both_sides(one: int, other: int) -> None:
    room = direct_room(one, other)
    assert room == direct_room(other, one)
    assert direct_pair(room) == (min(one, other), max(one, other))


@given(st.text(max_size=40))
def test_no_name_is_that_of_a_conversation_of_two(text: str) -> None:
    try:
        name = check_name(text)
    except Refused:
        return
    assert direct_pair(name) is None
    assert direct_pair(f"@{name}") is None


class TestMentions:
    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("", []),
            ("nobody", []),
            ("@bob", ["bob"]),
            ("hi @bob, and @Alice!", ["bob", "Alice"]),
            ("@bob.", ["bob.", "bob"]),
            ("@bob;", ["bob;", "bob"]),
            ("(see @bob)", ["bob)", "bob"]),
            ("@bob's idea", ["bob's", "bob"]),
            ("@bob’s.", ["bob’s.", "bob’s", "bob"]),
            ("“@bob”", ["bob”", "bob"]),
            ("_@bob_", ["bob_", "bob"]),
            ("**@bob**: yes?", ["bob"]),
            ("@x-y_z.1", ["x-y_z.1"]),
            ("@bob/@eve", ["bob", "eve"]),
            ("@bob @bob @BOB", ["bob", "BOB"]),
            ("@名前。", ["名前。", "名前"]),
            ("你好@bob", ["bob"]),
            ("a@b.example", []),
            ("é@b.example", []),
            ("https://m.example/@bob and @eve", ["eve"]),
            ("@", []),
            ("@ bob", []),
            ("@@bob", ["bob"]),
            ("@...", ["...", "..", "."]),
            ("@12:57", ["12"]),
            ("@bob\u200b", ["bob"]),
            ("@" + "a" * 65, []),
        ],
    )
    def test_what_follows_an_at_sign_may_be_a_name(self, text: str, names: list[str]) -> None:
        """“mentions (`@name`) that mark unread”"""
        assert mentions(text) == names

    def test_more_candidates_than_fifty_are_not_looked_at(self) -> None:
        text = " ".join(f"@n{number}..." for number in range(100))
        assert (
            mentions(text)
            == [f"n{number}{dots}" for number in range(13) for dots in ("...", "..", ".", "")][
                :MAX_MENTIONS
            ]
        )

    @given(st.text() | st.text("@a.':/ s"))
    def test_candidates_are_few_and_could_stand_after_an_at_sign(self, text: str) -> None:
        found = mentions(text)
        assert len(found) <= MAX_MENTIONS
        assert len(set(found)) == len(found)
        for name in found:
            assert f"@{name}" in text
            assert not FORBIDDEN & set(name)
            assert name.split() == [name]

    @given(st.text(), st.text(" \n\t,;:!?(", min_size=1), st.text())
    @example("", " ", "")
    def test_a_name_that_stands_alone_is_found(self, name: str, after: str, before: str) -> None:
        try:
            name = check_name(name)
        except Refused:
            return
        if "@" not in before and "://" not in f"{before} @{name}":
            assert name in mentions(f"{before} @{name}{after}")

    @pytest.mark.parametrize(
        "text", ["@", "@a", "@.", "@a.", "a@", "@'s", "://@", "a.", "@\u0301", "a://", "@a "]
    )
    def test_a_long_text_is_looked_through_at_once(self, text: str) -> None:
        """Every message passes here: what is quadratic takes minutes for this one."""
        assert len(mentions("@" + text * (2_000_000 // len(text)))) <= MAX_MENTIONS
