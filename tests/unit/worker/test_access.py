"""The table of who may do what: its form, and the sentences of its refusals."""

from __future__ import annotations

import enum

import pytest

from hubbub.errors import Code, Refused
from worker.access import ROOM_ACTIONS, TABLE, Action, Role, allows, check

TO_THE_CLUSTER = frozenset(
    {Role.GATEWAY, Role.GUEST, Role.ACCOUNT, Role.CLUSTER_OPERATOR, Role.SUSPENDED}
)
TO_A_ROOM = frozenset(Role) - TO_THE_CLUSTER


def refusal(action: Action, *roles: Role) -> Refused:
    """How the table says no."""
    with pytest.raises(Refused) as refused:
        check(action, frozenset(roles), "den")
    return refused.value


def test_every_action_has_a_row() -> None:
    """“An action without a row fails the tests.”"""
    assert set(TABLE) == set(Action)
    assert all(TABLE.values())


def test_what_has_no_row_is_refused_to_everybody_at_once() -> None:
    """“Deny by default: an action without a row is refused.”"""

    class Other(enum.Enum):
        FLY = "fly"

    with pytest.raises(Refused) as refused:
        check(Other.FLY, frozenset(Role) - {Role.GATEWAY})  # type: ignore[arg-type]
    assert refused.value.code is not None
    assert not allows(Other.FLY, frozenset(Role))  # type: ignore[arg-type]


def test_whoever_is_nothing_may_do_nothing() -> None:
    """“Deny by default.”"""
    assert not [action for action in Action if allows(action, frozenset())]


def test_actions_to_the_cluster_are_judged_by_what_one_is_to_it() -> None:
    """A role in some room is no reason to be allowed anything outside of it."""
    for action in set(Action) - ROOM_ACTIONS - {Action.END, Action.PING}:
        assert TABLE[action] <= TO_THE_CLUSTER, action


def test_actions_in_a_room_are_judged_by_what_one_is_to_it() -> None:
    """To have an account is no reason to be allowed anything in a room; the operators' rights in
    rooms are to keep order: never to enter, read, write, or see who is invited by whom.
    """
    for action in ROOM_ACTIONS:
        assert TABLE[action] <= TO_A_ROOM | {Role.CLUSTER_OPERATOR}, action
    kept_out = {
        *(Action.JOIN_PUBLIC, Action.JOIN_PRIVATE, Action.READ_PUBLIC, Action.READ_PRIVATE),
        *(Action.SAY, Action.TYPE, Action.MARK_READ, Action.INVITE_PUBLIC, Action.INVITE_PRIVATE),
    }
    for action in kept_out:
        assert Role.CLUSTER_OPERATOR not in TABLE[action], action


def test_a_suspended_account_may_end_its_session_and_no_more() -> None:
    """“An account that is shut out; nothing else counts.”"""
    left = {action for action in Action if allows(action, frozenset({Role.SUSPENDED}))}
    assert left == {Action.END, Action.PING}


def test_the_banned_may_go_and_no_more() -> None:
    """“Put somebody out of a room and keep them out.”"""
    left = {action for action in ROOM_ACTIONS if allows(action, frozenset({Role.BANNED}))}
    assert left == {Action.LEAVE}


@pytest.mark.parametrize("higher", [Role.OWNER, Role.OPERATOR])
def test_who_stands_higher_may_do_all_that_who_stands_lower_may(higher: Role) -> None:
    """“Owner, operator and member, in that order.”"""
    lower = {Role.OWNER: Role.OPERATOR, Role.OPERATOR: Role.MEMBER}[higher]
    for action, roles in TABLE.items():
        assert lower not in roles or higher in roles, action


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "role", "code", "text"),
    [
        (Action.LOOK_AROUND, Role.GATEWAY, Code.WRONG_TIME, "say hello first"),
        (Action.SAY, Role.SUSPENDED, Code.SUSPENDED, "this account is suspended"),
        (Action.SAY, Role.BANNED, Code.BANNED, "you are banned from den"),
        (Action.SAY, Role.MUTED, Code.MUTED, "you are muted in den"),
        (Action.SAY, Role.STRANGER, Code.NOT_MEMBER, "join den first"),
        (
            *(Action.JOIN_PRIVATE, Role.STRANGER, Code.NOT_ALLOWED),
            "den is private: somebody in it has to invite you",
        ),
        (
            *(Action.READ_PRIVATE, Role.EX_MEMBER, Code.NOT_ALLOWED),
            "den is private: somebody in it has to invite you",
        ),
        (Action.READ_PRIVATE, Role.INVITED, Code.NOT_MEMBER, "join den first"),
        (
            *(Action.OWN_ACCOUNT, Role.GUEST, Code.NOT_ALLOWED),
            "that takes an account: register first",
        ),
        (Action.REGISTER, Role.ACCOUNT, Code.NOT_ALLOWED, "you have an account already"),
        (
            *(Action.OPERATE, Role.ACCOUNT, Code.NOT_ALLOWED),
            "that takes an operator of the cluster",
        ),
        (Action.KICK, Role.MEMBER, Code.NOT_ALLOWED, "that takes an operator of den"),
        (Action.KICK, Role.MUTED, Code.NOT_ALLOWED, "that takes an operator of den"),
        (Action.RANK, Role.OPERATOR, Code.NOT_ALLOWED, "that takes the owner of den"),
        (Action.FETCH, Role.ACCOUNT, Code.NOT_ALLOWED, "that is not allowed here"),
    ],
)
def test_a_refusal_says_what_could_be_done_about_it(
    action: Action, role: Role, code: Code, text: str
) -> None:
    """“A code and a sentence a person can act on.”"""
    refused = refusal(action, role)
    assert (refused.code, refused.text) == (code, text)
