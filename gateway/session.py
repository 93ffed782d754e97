"""What a connection knows of its session. Pure."""

from __future__ import annotations

from hubbub.errors import Code


class Session:
    """The session that a connection holds here: every request of the connection is bound to it."""

    __slots__ = ("ending", "farewells", "generation", "name", "number", "sender")

    def __init__(self, number: int, generation: int, sender: int, name: str) -> None:
        self.number = number
        self.generation = generation  # raised by each resume: older ones are refused
        self.sender = sender  # the person
        self.name = name
        self.farewells = 0  # requests on their way that may end it, and are answered first
        self.ending: tuple[Code, str] | None = None  # why it is over, once that is known

    def is_over_at(self, generation: int) -> bool:
        """Whether the news that it is over for all generations below this one concerns it."""
        return self.generation < generation
