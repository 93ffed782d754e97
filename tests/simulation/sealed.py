"""What would make two runs of one seed differ, taken away: clocks, randomness, the collector."""

from __future__ import annotations

import gc
import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from tests.simulation.world import World


@contextmanager
def sealed(world: World, seed: int) -> Iterator[None]:
    """The product's wall clock is the world's, and its secrets are drawn from the seed."""
    chance = random.Random(f"secrets of {seed}")

    def text(size: int = 32) -> str:
        return chance.randbytes(size).hex()

    replaced: list[tuple[ModuleType, str, object]] = [
        (time, "time", world.wall),
        (secrets, "token_bytes", chance.randbytes),
        (secrets, "token_hex", text),
        (secrets, "token_urlsafe", text),
        (secrets, "randbelow", chance.randrange),
    ]
    before = [getattr(module, name) for module, name, _ in replaced]
    was_enabled = gc.isenabled()
    gc.disable()
    for module, name, value in replaced:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(replaced, before, strict=True):
            setattr(module, name, value)
        world.enter(None)
        if was_enabled:
            gc.enable()
