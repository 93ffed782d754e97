"""Names that look like other names, and names that are written in no language."""

from __future__ import annotations

import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given, strategies as st

from hubbub import unicode_data
from hubbub.errors import Code, Refused
from hubbub.names import check_name, name_key, skeleton

# Letters that are looked up, folded, taken apart or put together on the way to a skeleton.
listed = [int(word, 16) for word in unicode_data.ALIKE.split() if not word.endswith(":")]
tricky = st.sampled_from([chr(number) for number in listed])
texts = st.text(st.characters(exclude_categories=["Cs"]) | tricky, max_size=40)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("paypal", "раураӏ"),  # Cyrillic
        ("paypal", "PaypaI"),
        ("paypal", "paypa1"),
        ("Alice", "ALlCE"),
        ("alice", "ᴀʟɪᴄᴇ"),
        ("BOB", "ВОВ"),  # Cyrillic
        ("bob", "вов"),
        ("NINA", "ΝΙΝΑ"),  # Greek
        ("bob", "b0b"),
        ("modern", "modem"),
        ("coco", "сосо"),
        ("scope", "ѕсоре"),
        ("hubbub", "һubbub"),
        ("bob", "bօb"),  # Armenian
        ("bob", "ｂｏｂ"),
        ("zoë", "zoe\u0308"),
        ("o'neil", "o’neil"),
        ("a-b", "a‐b"),
        ("ル", "ﾙ"),
    ],
)
def test_names_that_look_alike_have_one_skeleton(one: str, other: str) -> None:
    """“Confusable (…) names”; “nobody expects to be (…) impersonated”"""
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "alicia"),
        ("bob", "bob2"),
        ("zoe", "zoë"),
        ("anna", "hanna"),
        ("user-1", "user-2"),
        ("иван", "ivan"),
        ("山田", "山口"),
        ("علي", "عمر"),
        ("vera", "nera"),
    ],
)
def test_names_that_look_different_are_not_confused(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)


@given(texts)
def test_the_skeleton_of_a_skeleton_is_itself(text: str) -> None:
    """“the skeleton function is idempotent”, UTS #39"""
    assert skeleton(skeleton(text)) == skeleton(text)


@given(texts)
def test_a_skeleton_does_not_depend_on_how_characters_are_put_together(text: str) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert skeleton(unicodedata.normalize(form, text)) == skeleton(text)


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_capitals_look_like_small_letters(text: str) -> None:
    """People know that names are one whatever their case, so "ALlCE" would be taken for Alice."""
    assert skeleton(text.upper()) == skeleton(text.lower()) == skeleton(text)


def test_few_letters_look_different_as_capitals() -> None:
    """Greek Ν looks like N and ν like v: those of Latin, Greek and Cyrillic are known by name."""
    letters = filter(str.isalpha, map(chr, range(0xC0, 0x530)))
    simple = [c for c in letters if unicodedata.is_normalized("NFKD", c) and len(c.upper()) == 1]
    different = {c for c in simple if skeleton(c) != skeleton(c.upper())}
    assert different == set("ðƒƽʇʈʉɖͱβλνςσυϭбглґғқҟҳӆӎԋ")


@given(texts)
def test_names_of_one_skeleton_are_what_another_name_is_asked_for(text: str) -> None:
    """What is compared is the name as it would be shown: skeletons need no name_key first."""
    try:
        name = check_name(text)
    except Refused:
        return
    assert skeleton(name) == skeleton(text)
    assert skeleton(name)


@pytest.mark.parametrize(
    "name",
    [
        "Радха",
        "Ελένη",
        "राधा",
        "รัศมี",
        "தமிழ்",
        "علي٣",
        "שלום",
        "ᏣᎳᎩ",
        "山田たろうカナ",
        "アリスalice",
        "김철수abc",
        "علي_ali",
        "राधा-radha",
        "Nguyễn",
        "Çağrı",
        "बिल्ली।",
        "日本・東京",
        "𝓐lice",
        "🎉party🎉",
        "a1٣"[:2],
    ],
)
def test_names_of_all_languages_are_taken(name: str) -> None:
    assert name_key(check_name(name)) == name_key(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("pаypal", "scripts"),  # one Cyrillic letter
        ("αlice", "scripts"),
        ("Ρaul", "scripts"),  # a Greek capital
        ("Ꭰlice", "scripts"),  # Cherokee
        ("ⲟscar", "scripts"),  # Coptic
        ("한글カナ", "scripts"),
        ("αбв", "scripts"),
        ("e" + "\u0302\u0301\u0323\u0324\u0325\u0326", "marks"),
        ("e\u0301\u0301", "marks"),
        ("ก\u0e49\u0e49", "marks"),
        ("room1٣", "digits"),
        ("१੧", "digits"),
    ],
)
def test_names_of_no_language_are_refused_with_a_reason(name: str, why: str) -> None:
    """“mixed-script (…) names”"""
    with pytest.raises(Refused) as refusal:
        check_name(name)
    assert refusal.value.code is Code.BAD_NAME
    assert why in refusal.value.text


def test_who_judges_no_name_pays_for_no_facts() -> None:
    """“a standby loads what it needs when it takes over”; brokers and gateways never need them."""
    program = (
        "import sys; from hubbub import names; names.check_name('Radha'); names.name_key('Ünï');"
        " names.mentions('hi @bob'); sys.exit('hubbub.unicode_data' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
