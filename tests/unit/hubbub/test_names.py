"""Names: which may be, and when two are the same."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.errors import Code, Refused
from hubbub.names import FORBIDDEN, MAX_NAME, check_name, name_key


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
