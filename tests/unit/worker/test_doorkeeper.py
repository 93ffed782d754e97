"""Passwords are looked at before the rules decide: worker/doorkeeper.py."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import argon2
import pytest

from hubbub.errors import Code
from hubbub.frames import ClientFrame, Error, Hello, Login, Passwd, Register, Say, Unregister
from hubbub.names import name_key
from hubbub.settings import Settings
from hubbub.wire import Ask
from tests.support import eventually, slack
from worker import passwords
from worker.doorkeeper import WRONG, Doorkeeper
from worker.passwords import UnavailableError
from worker.records import Account, Device, Person, Session, token_hash
from worker.tasks import Checked, Task
from worker.throttle import Throttle

ID = bytes(16)
SECRET = "correct horse"
QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
STRANGER = "192.0.2.1"
numbers = itertools.count(1)


@dataclass
class World:
    """What the doorkeeper reads of the owner's state."""

    names: dict[str, int] = field(default_factory=dict)
    people: dict[int, Person] = field(default_factory=dict)
    sessions: dict[int, Session] = field(default_factory=dict)
    devices: dict[int, Device] = field(default_factory=dict)
    device_tokens: dict[bytes, int] = field(default_factory=dict)

    def add(self, sender: int, name: str, account: Account | None) -> None:
        """A person, and a session of theirs with the same number from their own address."""
        key = name_key(name)
        self.names[key] = sender
        self.people[sender] = Person(sender, name, key, account)
        self.sessions[sender] = Session(
            sender,
            sender,
            True,
            2,
            "g1",
            b"",
            address=f"198.51.100.{sender}",
            device=self.device(sender) if account is not None else 0,
        )

    def device(self, sender: int) -> int:
        """A device of an account; its token is `token-<sender>`."""
        id = 1000 + sender
        hashed = token_hash(f"token-{sender}")
        self.devices[id] = Device(id, sender, hashed, "", 0, 0)
        self.device_tokens[hashed] = id
        return id


class Entrance:
    """A doorkeeper, what it answered, and how often it looked at a password."""

    def __init__(self, settings: Settings | None, throttle: Throttle | None) -> None:
        self.now = 1000.0
        self.world = World()
        self.refused: list[tuple[Task, Error]] = []
        self.checked: list[Checked] = []
        self.keeper = Doorkeeper(
            settings or Settings(),
            lambda: self.now,
            lambda task, error: self.refused.append((task, error)),
            self.checked.append,
            throttle,
        )

    def ask(
        self, frame: ClientFrame, *, session: int = 0, generation: int = 2, address: str = STRANGER
    ) -> Task:
        """Hand in a request, and wait for nothing."""
        if session:
            address = ""
        task = Task("g1", Ask(next(numbers), session, generation, frame, address))
        assert self.keeper.takes(task)
        self.keeper.receive(self.world, task)
        return task

    async def answered(self, count: int = 1) -> None:
        """So many requests have been refused or handed on."""
        await eventually(lambda: len(self.refused) + len(self.checked) >= count)

    def errors(self) -> list[Error]:
        return [error for _, error in self.refused]


Open = Callable[..., Entrance]


@pytest.fixture
def entrance() -> Iterator[Open]:
    """Opens doors that close with the test; Rita (1) has an account, guest (2) has none."""
    opened: list[Entrance] = []

    def make(settings: Settings | None = None, throttle: Throttle | None = None) -> Entrance:
        made = Entrance(settings, throttle)
        opened.append(made)
        made.world.add(1, "Rita", Account(QUICK.hash(SECRET), 0))
        made.world.add(2, "guest", None)
        return made

    yield make
    for each in opened:
        each.keeper.close()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was compared: (hash, password). Only SECRET is right, and nothing is computed."""
    seen: list[tuple[str, str]] = []

    def matches(against: str, password: str) -> bool:
        seen.append((against, password))
        return bool(against) and password == SECRET

    monkeypatch.setattr(passwords, "matches", matches)
    monkeypatch.setattr(passwords, "is_outdated", lambda against: False)
    monkeypatch.setattr(passwords, "hashed", lambda password: f"hash of {password}")
    return seen


def login(name: str | None = "Rita", password: str = SECRET, token: str | None = None) -> Login:
    return Login(0, ID, name, password, token)


@pytest.mark.parametrize(
    ("frame", "takes"),
    [
        (login(), True),
        (Login(0, ID, token="token"), False),
        (Register(0, ID, SECRET), True),
        (Passwd(0, ID, SECRET, SECRET), True),
        (Unregister(0, ID, ""), True),
        (Hello(0, ID), False),
        (Say(0, ID, "lobby", "hello"), False),
    ],
)
async def test_it_takes_what_carries_a_password(
    entrance: Open, frame: ClientFrame, takes: bool
) -> None:
    assert entrance().keeper.takes(Task("g1", Ask(1, 0, 0, frame))) is takes


class TestLogin:
    async def test_the_right_password_is_handed_on(self, entrance: Open) -> None:
        """“then hands `Checked(task, ok, sender, against, hashed)` to the rules”"""
        door = entrance()
        task = door.ask(login("RITA"))
        await door.answered()
        account = door.world.people[1].account
        assert account is not None
        (checked,) = door.checked
        assert checked[:4] == (task, True, 1, account.password)
        assert not door.refused

    async def test_a_hash_of_other_parameters_is_made_anew(self, entrance: Open) -> None:
        """“rehash when parameters changed”"""
        door = entrance()
        door.ask(login())
        await door.answered()
        (first,) = door.checked
        assert first.hashed != first.against
        assert passwords.matches(first.hashed, SECRET)
        door.world.add(1, "Rita", Account(first.hashed, 0))
        door.ask(login())
        await door.answered(2)
        assert door.checked[1].hashed == ""

    async def test_it_is_the_same_password_however_it_is_composed(
        self, entrance: Open, looks: list[tuple[str, str]]
    ) -> None:
        door = entrance()
        door.ask(login(password="e\u0301" * 8))
        await door.answered()
        assert looks[0][1] == "\u00e9" * 8

    @pytest.mark.parametrize("name", ["Rita", "nobody", "guest", "gone", "\u200b"])
    async def test_nothing_tells_a_wrong_password_from_a_name_that_nobody_has(
        self, entrance: Open, looks: list[tuple[str, str]], name: str
    ) -> None:
        """“same timing for unknown names”: and the same sentence, after the same work."""
        door = entrance()
        door.world.add(3, "gone", Account(QUICK.hash(SECRET), 0, deleted_at=1))
        password = "wrong horse" if name == "Rita" else SECRET
        task = door.ask(login(name, password))
        assert not door.refused  # not before it was looked at
        await door.answered()
        assert door.refused == [(task, Error(Code.BAD_LOGIN, WRONG))]
        assert [password for _, password in looks] == [password]

    async def test_a_password_without_a_name_is_told_so_at_once(
        self, entrance: Open, looks: list[tuple[str, str]]
    ) -> None:
        door = entrance()
        door.ask(login(None))
        assert door.errors()[0].code == Code.BAD_LOGIN
        assert not looks

    async def test_who_has_a_session_does_not_log_in_with_it(
        self, entrance: Open, looks: list[tuple[str, str]]
    ) -> None:
        door = entrance()
        for session in (1, 2):
            door.ask(login(), session=session)
        assert [checked.ok for checked in door.checked] == [False, False]
        assert not looks


class TestThrottle:
    async def test_ten_thousand_guesses_reach_the_hash_sixty_times_at_most_and_the_owner_gets_in(
        self, entrance: Open, looks: list[tuple[str, str]]
    ) -> None:
        """“10,000 guesses at one account from 1,000 addresses over ten minutes of injected clock:
        at most 60 reach the hash, and its owner logs in from a known device meanwhile”"""
        door = entrance()
        for number in range(1, 10_001):
            door.now += 0.06
            address = f"203.0.{number % 1000 // 250}.{number % 250}"
            door.ask(login(password=f"guess-{number}"), address=address)
            await door.answered(number + len(door.checked))
            if number % 1000 == 0:  # every minute
                door.ask(login(token="token-1"), address=address)
                await door.answered(number + number // 1000)
                assert len(door.checked) == number // 1000
        guesses = [password for _, password in looks if password.startswith("guess-")]
        assert 5 <= len(guesses) <= 60
        assert [checked.ok for checked in door.checked] == [True] * 10
        limits = [error for error in door.errors() if error.code == Code.LIMIT]
        assert len(limits) == 10_000 - len(guesses)
        assert all(error.retry_after and "try again in" in error.text for error in limits)

    async def test_a_token_of_another_account_is_no_known_device(
        self, entrance: Open, looks: list[tuple[str, str]]
    ) -> None:
        """Who has an account of their own gets no more guesses at others'."""
        door = entrance()
        door.world.add(5, "mallory", Account(QUICK.hash(SECRET), 0))
        for number in range(50):
            token = None if number < 10 else "token-5"
            door.ask(login(password="wrong", token=token), address=f"192.0.2.{number}")
        await door.answered(50)
        assert len(looks) == 5

    async def test_what_was_never_looked_at_is_not_counted(
        self, entrance: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Out of memory: nobody is locked out for it."""

        def fail(against: str, password: str) -> bool:
            raise UnavailableError("no memory")

        monkeypatch.setattr(passwords, "matches", fail)
        door = entrance()
        for number in range(20):
            door.ask(login())
            await door.answered(number + 1)
        assert {error.code for error in door.errors()} == {Code.UNAVAILABLE}

    async def test_a_crowd_is_told_when_to_come_again_and_nobody_is_counted(
        self, entrance: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """“Too many waiting -> refused with seconds to wait.”"""
        begun, go = threading.Event(), threading.Event()

        def matches(against: str, password: str) -> bool:
            begun.set()
            assert go.wait(slack(5))
            return True

        monkeypatch.setattr(passwords, "matches", matches)
        monkeypatch.setattr(passwords, "is_outdated", lambda against: False)
        settings = Settings(login_threads=1, login_waiting=3, accounts_per_address=1)
        door = entrance(settings)
        door.ask(login("first"))
        assert begun.wait(slack(5))
        for number in range(3):
            door.ask(login(f"name-{number}"))
        for _ in range(17):
            door.ask(login("late"))
        assert len(door.errors()) == 17
        assert all(error.code == Code.LIMIT and error.retry_after for error in door.errors())
        door.ask(Register(0, ID, "a good one"), session=2)
        assert door.errors()[-1].code == Code.LIMIT
        door.ask(login(token="token-1"))  # who is known is not turned away for strangers
        go.set()
        await door.answered(23)
        assert len(door.checked) == 5
        door.ask(Register(0, ID, "a good one"), session=2)  # the first did not count
        await door.answered(24)
        assert door.checked[-1].hashed
        door.ask(login("late"))
        await door.answered(25)
        assert len(door.checked) == 7

    async def test_what_waited_when_a_term_ended_counts_no_more(
        self, entrance: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """“`throttle` outlives the term”: it must not shut out those whom nobody looked at."""
        begun, go = threading.Event(), threading.Event()

        def matches(against: str, password: str) -> bool:
            begun.set()
            assert go.wait(slack(5))
            return True

        monkeypatch.setattr(passwords, "matches", matches)
        monkeypatch.setattr(passwords, "is_outdated", lambda against: False)
        settings, throttle = Settings(login_threads=1), Throttle(Settings())
        door = entrance(settings, throttle)
        for _ in range(5):
            door.ask(login())
        assert begun.wait(slack(5))
        assert not door.refused
        door.keeper.close()
        go.set()
        again = entrance(settings, throttle)
        again.ask(login())
        await again.answered()
        assert [checked.ok for checked in again.checked] == [True]
        assert not door.checked

    async def test_new_accounts_are_counted_by_the_address_of_the_session(
        self, entrance: Open, looks: list[tuple[str, str]]
    ) -> None:
        """“new accounts and connections per address”"""
        door = entrance(Settings(accounts_per_address=3))
        for _ in range(5):
            door.ask(Register(0, ID, "a good one"), session=2)
        await door.answered(5)
        assert [checked.ok for checked in door.checked] == [True] * 3
        assert [error.code for error in door.errors()] == [Code.LIMIT] * 2
        door.world.add(3, "elsewhere", None)
        door.ask(Register(0, ID, "a good one"), session=3)
        await door.answered(6)
        assert len(door.checked) == 4


class TestSessions:
    async def test_a_guest_is_handed_on_with_the_hash_of_the_new_password(
        self, entrance: Open
    ) -> None:
        door = entrance()
        task = door.ask(Register(0, ID, SECRET), session=2)
        await door.answered()
        (checked,) = door.checked
        assert checked[:4] == (task, True, 0, "")
        assert passwords.matches(checked.hashed, SECRET)

    async def test_a_changed_password_is_hashed_when_the_old_one_is_right(
        self, entrance: Open, looks: list[tuple[str, str]]
    ) -> None:
        door = entrance()
        door.ask(Passwd(0, ID, SECRET, "another horse"), session=1)
        await door.answered()
        (checked,) = door.checked
        assert checked.ok
        assert checked.sender == 1
        assert checked.against == looks[0][0]
        assert checked.hashed == "hash of another horse"

    @pytest.mark.parametrize(
        "frame", [Passwd(0, ID, "wrong", "another horse"), Unregister(0, ID, "wrong")]
    )
    async def test_a_wrong_old_password_is_the_rules_to_answer(
        self, entrance: Open, looks: list[tuple[str, str]], frame: ClientFrame
    ) -> None:
        """The change may have been made already: then asking again is answered as before."""
        door = entrance()
        door.ask(frame, session=1)
        await door.answered()
        (checked,) = door.checked
        assert not checked.ok
        assert checked.sender == 1
        assert checked.hashed == ""
        assert len(looks) == 1

    async def test_the_right_password_lets_one_go(
        self, entrance: Open, looks: list[tuple[str, str]]
    ) -> None:
        door = entrance()
        door.ask(Unregister(0, ID, SECRET), session=1)
        await door.answered()
        assert door.checked[0].ok
        assert door.checked[0].hashed == ""

    async def test_who_took_over_a_session_guesses_no_more_often_than_others(
        self, entrance: Open, looks: list[tuple[str, str]]
    ) -> None:
        door = entrance()
        for number in range(50):
            frame = (
                Passwd(0, ID, "wrong", "another horse") if number % 2 else Unregister(0, ID, "x")
            )
            door.ask(frame, session=1)
        await door.answered(50)
        assert len(looks) == 5
        assert {error.code for error in door.errors()} == {Code.LIMIT}

    @pytest.mark.parametrize("password", ["short", "guest", "tab\tinside", ""])
    async def test_what_may_not_be_a_password_is_refused_before_anything_is_hashed(
        self, entrance: Open, looks: list[tuple[str, str]], password: str
    ) -> None:
        door = entrance(Settings(accounts_per_address=1))
        door.ask(Register(0, ID, password), session=2)
        door.ask(Passwd(0, ID, SECRET, password), session=1)
        assert [error.code for error in door.errors()] == [Code.BAD_PASSWORD] * 2
        door.ask(Register(0, ID, "a good one"), session=2)  # and nothing was counted
        await door.answered(3)
        assert door.checked[0].ok
        assert not looks

    @pytest.mark.parametrize(
        ("frame", "session", "generation"),
        [
            (Passwd(0, ID, SECRET, "another horse"), 99, 2),  # no such session
            (Passwd(0, ID, SECRET, "another horse"), 1, 1),  # resumed elsewhere since
            (Register(0, ID, "a good one"), 2, 1),
            (Register(0, ID, "a good one"), 0, 0),
            (Passwd(0, ID, SECRET, "another horse"), 2, 2),  # a guest has no password
            (Unregister(0, ID, SECRET), 2, 2),
            (Register(0, ID, "a good one"), 1, 2),  # has an account
        ],
    )
    async def test_where_there_is_nothing_to_look_at_the_rules_answer(
        self,
        entrance: Open,
        looks: list[tuple[str, str]],
        frame: ClientFrame,
        session: int,
        generation: int,
    ) -> None:
        """“do not hash for sessions that do not live or that are of an older generation”"""
        door = entrance()
        task = door.ask(frame, session=session, generation=generation)
        assert door.checked == [Checked(task, False, 0, "")]
        assert not looks


class TestTrouble:
    async def test_a_bug_is_answered_and_logged_without_the_password(
        self,
        entrance: Open,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """“nothing that a client sends makes a traceback”, “never a token” in a log."""

        def fail(against: str, password: str) -> bool:
            raise ZeroDivisionError

        monkeypatch.setattr(passwords, "matches", fail)
        door = entrance()
        with caplog.at_level(logging.ERROR):
            door.ask(login())
            await door.answered()
        assert door.errors()[0].code == Code.INTERNAL
        assert "password_not_hashed" in caplog.text
        assert SECRET not in caplog.text

    async def test_after_closing_nobody_is_answered(
        self, entrance: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What waits is asked again, under the next term."""
        begun, go = threading.Event(), threading.Event()
        threads: list[threading.Thread] = []

        def matches(against: str, password: str) -> bool:
            threads.append(threading.current_thread())
            begun.set()
            assert go.wait(slack(5))
            return False

        monkeypatch.setattr(passwords, "matches", matches)
        door, after = entrance(Settings(login_threads=1)), entrance()
        door.ask(login())
        door.ask(login())
        assert begun.wait(slack(5))
        door.keeper.close()
        go.set()
        threads[0].join(slack(5))
        after.ask(login("nobody"))  # the marker: it is told in the same loop, later
        await after.answered()
        assert not door.refused
        assert not door.checked
