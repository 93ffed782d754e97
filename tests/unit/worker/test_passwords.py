"""Which passwords may be, and the threads that hash them: worker/passwords.py."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import unicodedata

import argon2
import pytest
from hypothesis import given, strategies as st

from hubbub.errors import Code, Refused
from tests.support import ROOT, eventually, slack
from worker import passwords
from worker.passwords import MAX_PASSWORD, NICE, Pool, check_new, hashed, is_outdated, matches

GOOD = "correct horse"


class TestRules:
    def refused(self, password: str, *, name: str = "Rita", least: int = 8) -> str:
        with pytest.raises(Refused) as caught:
            check_new(password, name, least)
        assert caught.value.code is Code.BAD_PASSWORD
        return caught.value.text

    def test_a_password_has_the_least_characters_that_the_operator_wants(self) -> None:
        assert "8 characters" in self.refused("1234567")
        assert check_new("12345678", "Rita", 8) == "12345678"
        assert check_new("1234567", "Rita", 7) == "1234567"

    def test_characters_are_counted_as_they_are_hashed(self) -> None:
        """Eight of them that are composed to four are four."""
        self.refused("e\u0301" * 4)
        check_new("e\u0301" * 8, "Rita", 8)

    def test_a_password_has_256_characters_at_most(self) -> None:
        check_new("x" * MAX_PASSWORD, "Rita", 8)
        assert "at most" in self.refused("x" * (MAX_PASSWORD + 1))
        # One of the few that NFC makes longer.
        assert "at most" in self.refused("\ufb2c" * MAX_PASSWORD)

    @pytest.mark.parametrize("name", ["password1", "PassWord1", "ｐａｓｓｗｏｒｄ１"])
    def test_a_password_is_not_the_name_however_it_is_written(self, name: str) -> None:
        assert "name" in self.refused("Password1", name=name)

    @pytest.mark.parametrize("character", ["\0", "\n", "\x1b", "\x7f", "\x85", "\ud800", "\u0378"])
    def test_a_password_holds_no_control_characters(self, character: str) -> None:
        """What cannot be typed again elsewhere, or is given a meaning later, is refused."""
        assert "control" in self.refused(f"pass{character}word")

    def test_a_password_is_more_than_spaces(self) -> None:
        self.refused(" " * 20)
        self.refused("\u2003" * 20)

    @pytest.mark.parametrize(
        "password", ["пароль-2026", "合言葉は秘密です。", "🦆🦆🦆🦆🦆🦆🦆🦆", " a b  c d "]
    )
    def test_every_script_and_spaces_may_be_in_it(self, password: str) -> None:
        assert check_new(password, "Rita", 8) == password

    def test_the_same_letters_are_the_same_password_however_they_are_composed(self) -> None:
        """“PRECIS OpaqueString”: NFC, and every space is a space."""
        assert passwords.prepare("Ame\u0301lie") == passwords.prepare("Am\u00e9lie")
        assert passwords.prepare("a\u00a0b") == "a b"

    @pytest.mark.parametrize(("one", "other"), [("Password", "password"), ("ﬁsh", "fish")])
    def test_letters_that_differ_stay_different(self, one: str, other: str) -> None:
        assert passwords.prepare(one) != passwords.prepare(other)

    @given(st.text(max_size=300))
    def test_any_text_is_a_password_or_refused_with_a_reason(self, text: str) -> None:
        try:
            accepted = check_new(text, "Rita", 8)
        except Refused:
            return
        assert 8 <= len(accepted) <= MAX_PASSWORD
        assert unicodedata.is_normalized("NFC", accepted)
        assert passwords.prepare(accepted) == accepted


class TestHashing:
    def test_it_is_argon2id_with_19_mib_two_passes_and_one_lane(self) -> None:
        """“argon2id via argon2-cffi, 19 MiB, 2 passes, 1 lane”"""
        stored = hashed(GOOD)
        assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert hashed(GOOD) != stored  # salted

    def test_only_the_password_it_was_made_from_matches(self) -> None:
        stored = hashed(GOOD)
        assert matches(stored, GOOD)
        for wrong in ("", GOOD + " ", GOOD.title(), GOOD[:-1]):
            assert not matches(stored, wrong)

    @pytest.mark.parametrize("stored", ["", "plain text", "$argon2id$v=19$m=19456,t=2,p=1$x$y"])
    def test_nothing_matches_what_is_no_hash(self, stored: str) -> None:
        for password in ("", GOOD, stored):
            assert not matches(stored, password)

    def test_a_password_that_is_no_text_matches_nothing_and_breaks_nothing(self) -> None:
        assert not matches(hashed(GOOD), "\ud800")

    @pytest.mark.parametrize("stored", ["", "plain text"])
    def test_where_there_is_no_hash_it_takes_as_long(self, stored: str) -> None:
        """“same timing for unknown names”: by CPU, and the fastest of several."""

        def cost(against: str) -> float:
            before = time.thread_time()
            matches(against, GOOD)
            return time.thread_time() - before

        real = hashed("another")
        known, unknown = (min(cost(s) for _ in range(12)) for s in (real, stored))
        assert 0.7 < unknown / known < 1.4

    def test_nobody_has_the_password_of_the_dummy(self) -> None:
        assert not matches(passwords._dummy(), GOOD)
        assert matches(hashed(GOOD), GOOD)
        # It is one of ours: else it would be answered at once.
        assert not is_outdated(passwords._dummy())

    def test_a_hash_of_other_parameters_matches_and_is_outdated(self) -> None:
        """“rehash when parameters changed”"""
        old = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(GOOD)
        assert matches(old, GOOD)
        assert is_outdated(old)
        assert not is_outdated(hashed(GOOD))

    def test_hashing_lets_other_threads_go_on(self) -> None:
        """The loop must not stand still while a password is hashed."""
        worker = threading.Thread(target=lambda: [hashed(GOOD) for _ in range(5)])
        worker.start()
        turns = 0
        while worker.is_alive():
            turns += 1
        # With the lock held there would be a few turns between two hashes, no more.
        assert turns > 5000

    def test_a_standby_and_the_doorkeeper_do_without_argon2_until_a_password_comes(self) -> None:
        """“Heavy modules only in the active worker.”"""
        code = "import sys, worker.__main__, worker.passwords; print('argon2' in sys.modules)"
        assert python(code) == "False"

    def test_the_memory_of_hashes_is_given_back_after_a_rest(self) -> None:
        """“Light.” Two threads would keep 38 MiB from the first login on."""
        code = """
import re, threading, time
from worker import passwords
passwords.REST = 0.5
passwords._give_memory_back()  # as a thread does that rests before its first hash
def resident():
    with open("/proc/self/smaps_rollup") as file:
        return int(re.search(r"Rss: +([0-9]+)", file.read())[1]) // 1024
before = resident()
pool, done, both = passwords.Pool(2, 10), threading.Semaphore(0), threading.Barrier(2)
def job():
    both.wait()
    passwords.hashed("correct horse")
    done.release()
for _ in range(2):
    for _ in range(6):
        pool.submit(job)
    for _ in range(6):
        done.acquire()
    print(resident() - before)
    for _ in range(1000):
        if resident() - before < 12:
            break
        time.sleep(0.01)  # poll
    print(resident() - before)
"""
        busy, idle, busy_again, idle_again = map(int, python(code).split())
        assert min(busy, busy_again) > 12  # MiB: kept while there is work
        assert max(idle, idle_again) < 12  # the library itself takes three

    def test_a_machine_without_memory_is_not_taken_for_a_wrong_password(self) -> None:
        code = """
import resource
from worker import passwords
stored = passwords.hashed("correct horse")
with open("/proc/self/statm") as file:
    size = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 4 * 2**20,) * 2)
for step in (passwords.hashed, lambda password: passwords.matches(stored, password)):
    try:
        print(step("correct horse"))
    except passwords.UnavailableError:
        print("unavailable")
"""
        assert python(code).split() == ["unavailable", "unavailable"]


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Recorder:
    """Jobs that say when they run, and wait until they are let go."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.threads: set[threading.Thread] = set()
        self.begun = threading.Semaphore(0)
        self._go = threading.Semaphore(0)

    def __call__(self, name: str) -> None:
        self.threads.add(threading.current_thread())
        self.begun.release()
        assert self._go.acquire(timeout=slack(5))
        self.ran.append(name)

    def let_go(self, count: int) -> None:
        self._go.release(count)

    def wait_begun(self, count: int) -> None:
        for _ in range(count):
            assert self.begun.acquire(timeout=slack(5))


class TestPool:
    def test_so_many_threads_run_at_a_time_and_no_more(self) -> None:
        """“hashed in a small bounded pool”"""
        pool, record = Pool(2, 10), Recorder()
        for _ in range(5):
            assert not pool.submit(lambda: record("job"))
        record.wait_begun(2)
        assert not record.begun.acquire(timeout=0.05)
        assert pool.waiting == 3
        record.let_go(5)
        record.wait_begun(3)
        pool.close()

    def test_too_many_waiting_are_told_how_long(self) -> None:
        """“Too many waiting -> refused with seconds to wait.”"""
        pool, record = Pool(1, 3), Recorder()
        assert not pool.submit(lambda: record("first"))
        record.wait_begun(1)
        waits = [pool.submit(lambda: record("more")) for _ in range(5)]
        assert waits[:3] == [0.0] * 3
        assert all(wait >= 1.0 for wait in waits[3:])
        pool.close()
        record.let_go(1)

    def test_who_is_known_goes_first_and_is_not_kept_out_by_strangers(self) -> None:
        """“never locking out the owner on a known device”"""
        pool, record = Pool(1, 3), Recorder()
        pool.submit(lambda: record("running"))
        record.wait_begun(1)
        while not pool.submit(lambda: record("stranger")):
            pass
        assert not pool.submit(lambda: record("known"), known=True)
        record.let_go(2)
        record.wait_begun(2)
        pool.close()
        record.let_go(1)
        assert record.ran[:2] == ["running", "known"]

    def test_closing_drops_what_waits_and_waits_for_nothing(self) -> None:
        """“`close()` ends the pool without waiting for the queue.”"""
        pool, record = Pool(1, 10), Recorder()
        for _ in range(5):
            pool.submit(lambda: record("job"))
        record.wait_begun(1)
        pool.close()  # returns though one is running
        assert pool.waiting == 0
        assert pool.submit(lambda: record("late")) > 0
        record.let_go(10)
        (thread,) = record.threads
        thread.join(slack(5))
        assert not thread.is_alive()
        assert record.ran == ["job"]

    def test_its_threads_have_a_low_priority_and_others_keep_theirs(self) -> None:
        """A login storm does not slow everybody."""
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        pool = Pool(1, 10)
        seen: list[int] = []
        done = threading.Event()

        def look() -> None:
            seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            done.set()

        pool.submit(look)
        assert done.wait(slack(5))
        pool.close()
        assert seen == [max(ours, NICE)]
        assert os.getpriority(os.PRIO_PROCESS, 0) == ours

    def test_no_thread_runs_before_the_first_password(self) -> None:
        """“Light.”"""
        pool = Pool(4, 10)
        assert pool._started == 0
        done = threading.Event()
        pool.submit(done.set)
        assert done.wait(slack(5))
        assert pool._started == 1
        pool.close()

    async def test_no_more_threads_run_than_are_needed(self) -> None:
        pool, record = Pool(4, 10), Recorder()
        record.let_go(5)
        for _ in range(5):
            pool.submit(lambda: record("job"))
            await eventually(lambda: pool.waiting == 0 and pool._idle == 1)
        assert len(record.ran) == 5
        assert len(record.threads) == 1
        pool.close()
