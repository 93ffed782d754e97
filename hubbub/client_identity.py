"""Who a client is, and with what it greets a server. No I/O."""

from __future__ import annotations

import os

from hubbub.errors import Code, Refused
from hubbub.frames import ClientFrame, Granted, Hello, Login, Resume, Welcome
from hubbub.names import check_name

MAX_PASSWORD = 256  # characters


class Identity:
    """Who one is: a guest or an account, and what proves it.

    Attributes:
        token: continues the session; None when there is none to continue.
        device: logs in again without the password; "" for a guest.
        told: how often the server said what one is called.
        greeting_id: names the greeting; the same until it is answered, so that it is done once.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        password: str | None = None,
        device: str = "",
        token: str | None = None,
        visible: bool = True,
        agent: str = "",
    ) -> None:
        self.name = name
        self.told = 0
        self.sender = 0
        self.account = False
        self.operator = False
        self.token = token
        self.device = device
        self.blocked: set[int] = set()
        self.visible = visible
        self.agent = agent[:64]
        self.away: tuple[str, str] | None = None  # what was last said of it
        self.greeting_id = os.urandom(16)
        self._password = password

    def check(self) -> None:
        """Pass if a server can take it.

        Raises:
            Refused: the name may not be one, or the password cannot be right.
        """
        if self.name is not None:
            check_name(self.name)
        if self._password is not None and not 0 < len(self._password) <= MAX_PASSWORD:
            raise Refused(Code.BAD_LOGIN, f"a password has 1 to {MAX_PASSWORD} characters")
        try:
            for text in (self._password, self.device, self.token, self.agent):
                (text or "").encode()
        except UnicodeEncodeError:  # bytes of a variable or a terminal that are no UTF-8
            raise Refused(Code.BAD_LOGIN, "passwords and tokens must be valid Unicode") from None

    def greeting(self, epoch: int, cursors: dict[str, int]) -> ClientFrame:
        """What to say first on a connection: continue the session, log in, or come as a guest."""
        ident = self.greeting_id
        if self.token is not None:
            return Resume(0, ident, self.token, epoch if cursors else 0, cursors, self.agent)
        if self._password is not None or self.device:
            password = self._password or ""
            name = self.name if password else None  # a device is whose it is
            token = self.device or None
            return Login(0, ident, name, password, token, self.visible, self.agent)
        return Hello(0, ident, self.name, self.visible, self.agent)

    def expired(self) -> None:
        """The session is over: the next greeting begins another."""
        self.token = None
        self.greeting_id = os.urandom(16)

    def welcomed(self, welcome: Welcome) -> None:
        """The server says who one is."""
        self.renamed(welcome.name)
        self.sender, self.token = welcome.sender, welcome.token
        self.account, self.operator = welcome.account, welcome.operator
        self.blocked = set(welcome.blocked)
        self.device = welcome.device or self.device
        if self.device:
            self._password = None  # not kept longer than it is needed
        self.greeting_id = os.urandom(16)

    def renamed(self, name: str) -> None:
        """The server says what one is called now."""
        self.name = name
        self.told += 1

    def granted(self, granted: Granted) -> None:
        """One has an account now, or another password."""
        self.renamed(granted.name)
        self.sender, self.account = granted.sender, True
        self.device = granted.device
