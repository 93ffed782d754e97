"""The rules against a small model of them (model.py): 1,000 programs in memory, 60 on a database.

A program is 15 to 40 things that people do: guests, accounts on several devices, operators and
owners, in public and private rooms and conversations, on two gateways, while time passes,
connections break and requests come twice; each turn takes one or several of them. After each turn
every log, roster, rank, mark and membership is compared, and what gateways make of the stream.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.unit.worker.play import Play
from tests.unit.worker.programs import PROGRAMS, Step
from tests.unit.worker.stored import Stored, told
from tests.unit.worker.world import World
from worker.migrate import migrate

SLOW = [HealthCheck.too_slow]


@settings(max_examples=1000, deadline=None, suppress_health_check=SLOW)
@given(PROGRAMS)
def test_whatever_people_do_comes_out_as_the_model_says(program: list[Step]) -> None:
    """“A property test of a room's rules against a small model; at least 1,000 programs.”"""
    Play(World()).run(program)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with nothing in it."""
    path = tmp_path_factory.mktemp("empty") / "hubbub.db"
    migrate(path)
    return path.read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(program=PROGRAMS)
def test_whatever_people_do_is_there_after_a_restart(empty: bytes, program: list[Step]) -> None:
    """“Accounts, roles and marks survive a restart”, and so does everything else."""
    with tempfile.TemporaryDirectory() as directory:
        world = Stored(Path(directory), empty)
        try:
            Play(world).run(program)
            log = [row for id in sorted(world.state.rooms) for row in world.read(id, 0, None, 1000)]
            again = world.reloaded()
            again.store.close()
        finally:
            world.store.close()
        assert log == sorted(world.events)
        assert told(again.state) == told(world.state)
