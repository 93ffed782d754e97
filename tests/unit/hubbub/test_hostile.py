"""Texts that were made to hurt: none is shown, logged or taken as a name alive."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest
from hypothesis import example, given, strategies as st

from hubbub import logs
from hubbub.cli import render
from hubbub.errors import Code, Refused
from hubbub.names import check_name
from hubbub.visible import visible
from tests.hostile import HOSTILE, dangers

anything = st.text(
    st.characters(exclude_categories=())
    | st.sampled_from(sorted({character for text in HOSTILE for character in text}))
)


every = pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[1:33])


def test_there_are_two_hundred_and_each_is_alive() -> None:
    """The judge knows each of them, so its word on what is shown counts."""
    assert len(set(HOSTILE)) >= 200
    assert not [text for text in HOSTILE if not dangers(text)]


@every
def test_what_is_hostile_is_shown_harmlessly(text: str) -> None:
    """“no text from one person reaches another's terminal with escape sequences alive”"""
    shown = visible(text)
    assert shown != text
    assert not dangers(shown)
    assert not dangers(f"Radha: {shown}")


@given(anything)
@example("".join(HOSTILE))
@example("\u0378\u200d")
@example("क" + "\u094d" * 9 + "\u200d")
def test_whatever_is_shown_is_harmless(text: str) -> None:
    assert not dangers(visible(text))


@given(anything)
def test_what_was_made_visible_once_stays_as_it_is(text: str) -> None:
    """So it does no harm to do it twice, on the way to a log and out of it."""
    assert visible(visible(text)) == visible(text)


def test_the_command_line_shows_texts_by_the_same_rules() -> None:
    assert render.visible is visible


@every
def test_no_name_is_hostile(text: str) -> None:
    """“Confusable, mixed-script and zero-width names”: refused, not only shown harmlessly."""
    for name in (text, f"Radha{text}", f"{text}Radha"):
        with pytest.raises(Refused) as refusal:
            check_name(name)
        assert refusal.value.code is Code.BAD_NAME
        assert not dangers(refusal.value.text)


@given(anything)
def test_a_name_is_refused_or_harmless(text: str) -> None:
    try:
        taken = check_name(text)
    except Refused as refusal:
        taken = refusal.text
    assert visible(taken) == taken
    assert not dangers(taken)


class TestLogs:
    @pytest.fixture
    def out(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
        """What a process logs."""
        root = logging.getLogger()
        before, level = root.handlers[:], root.level
        out = io.StringIO()
        monkeypatch.setattr(sys, "stdout", out)
        logs.setup("gateway-1.5f2c81")
        yield out
        root.handlers[:] = before
        root.setLevel(level)

    @every
    def test_a_line_is_one_line_and_harmless_whatever_is_in_it(
        self, text: str, out: io.StringIO
    ) -> None:
        """“200 hostile strings (…) shown harmlessly in `hubbub chat` and logs”"""
        log = logging.getLogger("hubbub")
        log.info("what=closed name=%s address=%s agent=%s why=%s", text, text, text, text)
        line, end, rest = out.getvalue().partition("\n")
        assert (end, rest) == ("\n", "")
        assert not dangers(line)
        line.encode()

    @every
    def test_the_text_of_an_exception_forges_no_line(self, text: str, out: io.StringIO) -> None:
        try:
            raise ValueError(f"cannot read {text}")
        except ValueError:
            logging.getLogger("hubbub").exception("what=crashed")
        first, head, *rest = out.getvalue().removesuffix("\n").split("\n")
        assert first.endswith("what=crashed")
        assert head.startswith("Traceback ")
        assert all(line.startswith("  ") and not dangers(line) for line in rest)
