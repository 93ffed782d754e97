"""Every action by every role, tried for real: allowed exactly where the table says so."""

from __future__ import annotations

import typing

import pytest

from hubbub.frames import ClientFrame, Error
from tests.unit.worker.situations import (
    ASKED,
    AT_THE_GATEWAY,
    COMBINATIONS,
    GREETINGS,
    Asked,
    Combination,
    Situation,
    touched,
)
from worker.access import TABLE, Action, Role, allows
from worker.rules import HANDLERS

FRAMES = frozenset(typing.get_args(ClientFrame))


def tried(before: Situation, asked: Asked) -> tuple[bool, list[str]]:
    """Whether it was allowed, and what has come of it."""
    situation = before.copy()
    answers = situation.world.turn(asked.make(situation))
    if not answers:  # it is read, or looked for, once all is stored
        return True, touched(situation.world.last)
    (answer,) = answers
    assert not isinstance(answer.reply, Error) or answer.reply.code != "internal"
    allowed = not isinstance(answer.reply, Error)
    if allowed and asked.shown is not None:
        allowed = asked.shown(answer.reply)  # type: ignore[arg-type]
    return allowed, touched(situation.world.last)


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
@pytest.mark.parametrize(
    "combination", COMBINATIONS, ids=lambda both: f"{both[0].value}, {both[1].value}"
)
def test_each_action_is_allowed_exactly_where_the_table_says_so(
    combination: Combination, private: bool
) -> None:
    """“Every action × every role, generated from one source, deny by default.”"""
    situation = Situation(*combination, private=private)
    wrong = []
    for asked in ASKED:
        if private not in asked.where or asked.frame in AT_THE_GATEWAY:
            continue
        expected = allows(asked.action, situation.roles)
        allowed, changed = tried(situation, asked)
        if allowed is not expected:
            verb = "may" if allowed else "may not"
            wrong.append(f"{verb} {asked.action.value} ({asked.frame.__name__})")
        elif not allowed and changed:
            wrong.append(f"{asked.frame.__name__} was refused, and yet touched {changed}")
    assert wrong == []


@pytest.mark.parametrize(
    "combination", COMBINATIONS, ids=lambda both: f"{both[0].value}, {both[1].value}"
)
def test_what_gateways_decide_the_owner_takes_from_nobody(combination: Combination) -> None:
    """“What no row allows is refused.”"""
    situation = Situation(*combination, private=False)
    for asked in ASKED:
        if asked.frame in AT_THE_GATEWAY:
            assert tried(situation, asked) == (False, [])


# --- nothing is left out ----------------------------------------------------------------------


def test_every_frame_of_clients_is_asked_as_some_action() -> None:
    """“An action without a row fails the tests”: so does a frame without an action."""
    assert {asked.frame for asked in ASKED} >= FRAMES


def test_every_frame_of_clients_is_handled_somewhere_and_once() -> None:
    """“Every action of every frame and door is allowed by one table.”"""
    places = [set(HANDLERS), GREETINGS, AT_THE_GATEWAY]
    assert set().union(*places) == FRAMES
    assert sum(len(place) for place in places) == len(FRAMES)


def test_every_action_has_a_row_and_is_tried() -> None:
    """“An action without a row fails the tests.”"""
    assert set(TABLE) == set(Action)
    assert {asked.action for asked in ASKED} == set(Action)


def test_every_action_is_tried_in_public_and_in_private_rooms_unless_its_name_says_which() -> None:
    """A row that was tried in one kind of room says nothing of the other."""
    for action in Action:
        kinds = {kind for asked in ASKED if asked.action is action for kind in asked.where}
        public = action.name.endswith("_PUBLIC")
        private = action.name.endswith("_PRIVATE")
        assert kinds == ({False} if public else {True} if private else {False, True}), action


def test_every_role_is_somebodys() -> None:
    """“A role without a column fails.”"""
    somebody = set().union(
        *(Situation(*combination, private=False).roles for combination in COMBINATIONS)
    )
    assert somebody == set(Role)
