"""Which language a stranger speaks, by the first bytes, and what to say without that door. Pure."""

from __future__ import annotations

from typing import NamedTuple

from hubbub.errors import Code
from hubbub.frames import Error, encoder

PEEK = 8  # bytes; enough to tell HTTP methods from IRC commands

_HTTP = (
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"TRACE ",
    b"CONNECT ",
)
_NO_WEB = b"this server has no web door; use `hubbub chat`\n"
_HTTP_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_NO_WEB), _NO_WEB)
)
_IRC_ANSWER = b"ERROR :This server has no IRC door; use hubbub chat\r\n"
_NATIVE_ANSWER = encoder.encode(
    Error(Code.BAD_FRAME, "this is no language of this server; see docs/protocol.md")
)


class Guess(NamedTuple):
    """`door` is "native", or empty: then `answer` says so in the stranger's own language."""

    door: str
    answer: bytes = b""


def door_for(peeked: bytes) -> Guess:
    """Tell the language by its first bytes (at least one)."""
    first = peeked[0]
    if 0x80 <= first <= 0x8F or first in (0xDE, 0xDF):
        return Guess("native")
    if first == 0x16:
        return Guess("")  # TLS: whoever expects it understands a closed connection best
    if any(method.startswith(peeked) or peeked.startswith(method) for method in _HTTP):
        return Guess("", _HTTP_ANSWER)
    if (chr(first).isalpha() and first < 0x80) or first in b":@":
        return Guess("", _IRC_ANSWER)
    return Guess("", _NATIVE_ANSWER)
