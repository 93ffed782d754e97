"""Which of the messages found come first. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from worker.query import DAY, Term, folded, spaced

# BM25 with the usual constants, without the rarity of words: every message found holds all of
# them, and to know how rare a word is its whole list would have to be read.
SATURATION = 1.2
LENGTH_WEIGHT = 0.75
USUAL_LENGTH = 60  # characters
READ_CHARACTERS = 2000  # what stands further back in a long text does not count
FRESH_FOR = 30 * DAY  # ms; what is so old counts three quarters of what is new


def score(text: str, terms: Sequence[Term], age: int) -> float:
    """How good a hit a message is: more often, in less text, more recently.

    Args:
        text: of the message.
        terms: what is looked for; none: all messages are as good but for their age.
        age: ms between this message and the newest of those it is compared with.
    """
    words = _apart(folded(spaced(text[:READ_CHARACTERS])))
    length = 1 - LENGTH_WEIGHT + LENGTH_WEIGHT * len(words) / USUAL_LENGTH
    relevance = 1.0
    for term in terms:
        wanted = _apart(term.text)
        times = words.count(wanted.rstrip() if term.prefix else wanted)
        relevance += times * (SATURATION + 1) / (times + SATURATION * length)
    return relevance * (0.5 + 0.5 / (1 + max(age, 0) / FRESH_FOR))


def _apart(words: str) -> str:
    """Each word with spaces of its own around it: "no no" holds " no " twice."""
    return f" {words.replace(' ', '  ')} "
