"""Getting a connection that is welcomed: which address next, and how long to wait for it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

from hubbub.client_identity import Identity
from hubbub.client_link import Link, Owner
from hubbub.client_retry import Patience, greet_waits
from hubbub.errors import Refused
from hubbub.frames import encoder

_DOUBT = 30.0  # seconds in which a greeting that was given up may still be carried out


class Dialing:
    """Tries the addresses in turn.

    Attributes:
        met_silence: the last dial was accepted, and then nothing came.
    """

    def __init__(
        self, owner: Owner, addresses: Sequence[tuple[str, int]], patience: Patience
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._owner = owner
        self._addresses = itertools.cycle(addresses)
        self._patience = patience
        self._waits = greet_waits(patience.greet_within)
        self._doubt_until = 0.0
        self.met_silence = False

    @property
    def in_doubt(self) -> bool:
        """Whether a greeting of one's own that was given up may have been carried out."""
        return self._loop.time() < self._doubt_until

    async def dial(self, who: Identity, epoch: int, cursors: dict[str, int]) -> Link:
        """A connection on which `who` was welcomed.

        Raises:
            Refused: the server does not want that.
            OSError: it did not answer.
        """
        host, port = next(self._addresses)
        link = Link(self._owner, self._patience, who)
        doubted = self._doubt_until
        self.met_silence = False
        try:
            async with asyncio.timeout(next(self._waits)) as link.greet_deadline:
                await self._loop.create_connection(lambda: link, host, port)
                self._doubt_until = self._loop.time() + _DOUBT
                link.write(encoder.encode(who.greeting(epoch, cursors)))
                await link.greeted
        except TimeoutError:
            self.met_silence = True
            link.abort()
            raise TimeoutError(f"{host}:{port} does not answer") from None
        except BaseException as error:
            if isinstance(error, Refused):
                self._doubt_until = doubted
            link.abort()
            raise
        self._doubt_until = doubted
        self._waits = greet_waits(self._patience.greet_within)
        return link
