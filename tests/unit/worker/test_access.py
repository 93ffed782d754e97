"""The table of who may ask what."""

from __future__ import annotations

import typing

import pytest

from hubbub.errors import Code, Refused
from hubbub.frames import ClientFrame, Say, Status
from hubbub.wire import Fetch, Lost
from worker.access import TABLE, Role, check

ASKED = [*typing.get_args(ClientFrame), Lost, Fetch]


def test_every_frame_that_can_be_asked_has_its_row_and_no_other_has() -> None:
    """“Every action of every frame is allowed by one table.”"""
    assert set(TABLE) == set(ASKED)


@pytest.mark.parametrize("role", Role)
def test_a_frame_without_a_row_is_refused_to_everybody(role: Role) -> None:
    """“An action without a row is refused.”"""
    with pytest.raises(Refused) as refused:
        check(str, role)
    assert refused.value.code is Code.NOT_ALLOWED


def test_the_refusal_says_what_to_do_first() -> None:
    """“Clear refusals.”"""
    with pytest.raises(Refused) as refused:
        check(Say, Role.SESSION, "lobby")
    assert (refused.value.code, refused.value.text) == (Code.NOT_MEMBER, "join lobby first")
    with pytest.raises(Refused) as refused:
        check(Status, Role.GATEWAY)
    assert refused.value.code is Code.WRONG_TIME
