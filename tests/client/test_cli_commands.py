"""What typed lines mean, what /help says of them, and what Tab makes of them."""

from __future__ import annotations

import pytest
from hypothesis import example, given, strategies as st

from hubbub.cli import actions
from hubbub.cli.commands import (
    COMMANDS,
    Command,
    Text,
    WrongLineError,
    asks_secret,
    duration,
    help_lines,
    parse_line,
    usage,
)
from hubbub.cli.completer import Known, complete

LINES = st.text(max_size=40) | st.builds(
    "/{} {}".format, st.sampled_from(sorted(COMMANDS)), st.text(max_size=40)
)
KNOWN = Known(["Bob", "bobby", "Anna", "élodie", "E\u202evil"], ["lobby", "Den", "@Bob"])


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("hi there", Text("hi there")),
        ("  indented", Text("  indented")),
        ("//etc/passwd", Text("/etc/passwd")),
        ("//", Text("/")),
        ("", None),
        ("   ", None),
        ("pasted\nwith its end\n", Text("pasted\nwith its end")),
        ("/quit\n", Command("quit")),
        ("/me waves", Command("me", "waves")),
        ("/JOIN  den ", Command("join", "den")),
        ("/join #den", Command("join", "den")),
        ("/join den private", Command("join", "den", private=True)),
        ("/join --private den", Command("join", "den", private=True)),
        ("/join private", Command("join", "private")),
        ("/history 5", Command("history", number=5)),
        ("/history", Command("history")),
        ("/leave", Command("leave")),
        ("/msg @Bob", Command("msg", who="Bob")),
        ("/msg Bob  how are you?", Command("msg", "how are you?", who="Bob")),
        ("/kick Bob", Command("kick", who="Bob")),
        ("/kick Bob off topic", Command("kick", "off topic", who="Bob")),
        ("/ban Bob", Command("ban", who="Bob")),
        ("/ban Bob for 2h", Command("ban", who="Bob", seconds=7200)),
        ("/ban Bob for 10m spam, again", Command("ban", "spam, again", "Bob", seconds=600)),
        ("/ban Bob spam for 10m", Command("ban", "spam for 10m", who="Bob")),
        ("/mute Bob for 3d", Command("mute", who="Bob", seconds=259200)),
        ("/role Bob Operator", Command("role", "operator", who="Bob")),
        ("/edit 12 better", Command("edit", "better", number=12)),
        ("/edit #12 better", Command("edit", "better", number=12)),
        ("/edit all better", Command("edit", "all better")),
        ("/edit 12", Command("edit", "12")),
        ("/delete", Command("delete")),
        ("/delete #7", Command("delete", number=7)),
        ("/react 3 👍", Command("react", "👍", number=3)),
        ("/reply 3 yes", Command("reply", "yes", number=3)),
        ("/topic", Command("topic")),
        ("/topic All about it", Command("topic", "All about it")),
        ("/bell OFF", Command("bell", on=False)),
        ("/numbers", Command("numbers")),
        ("/help /ban", Command("help", "ban")),
        ("/login Bob", Command("login", who="Bob")),
        ("/quit", Command("quit")),
    ],
)
def test_a_line_means(line: str, wanted: object) -> None:
    assert parse_line(line) == wanted


@pytest.mark.parametrize(
    "line",
    [
        "/", "/x", "/joni den", "/ me", "/me", "/join", "/join a b", "/join a private b", "/join #",
        "/history x", "/history -1", "/history 0", "/msg", "/msg @", "/kick", "/ban",
        "/ban Bob for", "/ban Bob for ever", "/ban Bob for 0m", "/ban Bob for 9999999d",
        "/role Bob king",
        "/role Bob", "/edit", "/delete last", "/react 3", "/react x 👍", "/reply 3", "/reply no",
        "/unreact 3", "/bell loud", "/invite", "/invite a b", "/search", "/block", "/nick",
        "/quit now", "/register secret", "/login", "/login Bob secret", "/passwd old new",
        "/logout x", "/back later", "/help nothing", f"/kick Bob {'x' * 201}",
        f"/topic {'x' * 301}", f"/react 1 {'x' * 33}", f"/search {'x' * 201}",
    ],
)  # fmt: skip
def test_what_looks_like_a_command_is_never_text(line: str) -> None:
    """“An unknown command is an error and never sent as text.”"""
    with pytest.raises(WrongLineError):
        parse_line(line)


@given(LINES)
@example("0\n")  # a line end is of the line, not of the text
def test_any_line_is_a_command_a_text_nothing_or_wrong(line: str) -> None:
    try:
        found = parse_line(line)
    except WrongLineError:
        assert line.startswith("/")
        return
    if isinstance(found, Text):
        said = line.rstrip("\r\n")
        assert found.text == said.removeprefix("/" if line.startswith("//") else "")
    elif isinstance(found, Command):
        assert line.lower().startswith(f"/{found.name}")
        assert found.name in COMMANDS
    else:
        assert not line.strip()


@given(st.text(max_size=20))
def test_only_what_begins_with_two_slashes_says_a_slash_first(rest: str) -> None:
    try:
        found = parse_line("/" + rest)
    except WrongLineError:
        return
    if isinstance(found, Text):
        assert rest.startswith("/")
        assert found.text == rest.rstrip("\r\n")
    else:
        assert isinstance(found, Command)
        assert found.name in COMMANDS


@pytest.mark.parametrize(
    "line", ["/login Bob", "/LOGIN Bob secret", " /login Bob secret", "/register x", "/passwd a b"]
)
def test_a_line_about_passwords_is_kept_in_no_history(line: str) -> None:
    """“Passwords typed in chat never go to the history file or on screen.”"""
    assert asks_secret(line)


@pytest.mark.parametrize("line", ["", "login Bob", "/join login", "/quit", "/", "//me"])
def test_other_lines_are_kept(line: str) -> None:
    assert not asks_secret(line)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("10m", 600), ("2h", 7200), ("3d", 259200), ("1w", 604800)]
)
def test_a_time_is_a_number_with_its_unit(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@given(st.text(max_size=12))
def test_any_other_time_is_refused(text: str) -> None:
    try:
        seconds = duration(text)
    except ValueError:
        return
    assert 0 < seconds <= 10 * 365 * 86400


# --- /help ------------------------------------------------------------------------------------


def test_every_command_is_in_help_with_its_arguments_and_is_carried_out_by_something() -> None:
    """“each in /help with its arguments”"""
    text = "\n".join(help_lines())
    for name, spec in COMMANDS.items():
        assert f"/{name} {spec.arguments}".rstrip() in text
        assert help_lines(name)[0] == f"{usage(name)}  {spec.does}"
    assert set(COMMANDS) == set(actions.ACTIONS)


def test_help_fits_a_terminal_of_100_columns() -> None:
    assert max(map(len, help_lines())) <= 100


# --- Tab --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ("", []),
        ("/", [f"/{name} " if spec.arguments else f"/{name}" for name, spec in
               sorted(COMMANDS.items())]),
        ("/UNB", ["/unban ", "/unblock "]),
        ("/quit", ["/quit"]),
        ("//", []),
        ("bo", ["Bob: ", "bobby: "]),
        ("ask bo", ["Bob ", "bobby "]),
        ("ask @BO", ["@Bob ", "@bobby "]),
        ("É", ["élodie: "]),
        ("e", []),  # the other one could not be shown as it is
        ("/msg b", ["Bob ", "bobby "]),
        ("/msg @b", ["@Bob ", "@bobby "]),
        ("/msg Anna @b", ["@Bob ", "@bobby "]),
        ("/msg Anna b", []),
        ("/join d", ["Den"]),
        ("/join #d", ["#Den"]),
        ("/join Den p", ["private"]),
        ("/role Anna o", ["operator", "owner"]),
        ("/bell ", ["off", "on"]),
        ("/help mu", ["mute"]),
        ("/nonsense b", []),
        ("/me greets @a", ["@Anna "]),
    ],
)  # fmt: skip
def test_tab_offers(before: str, wanted: list[str]) -> None:
    """“Tab completion of commands, names, rooms, `@name` mentions”"""
    assert complete(before, KNOWN).texts == wanted


@given(LINES, st.lists(st.text(min_size=1, max_size=8)))
def test_what_tab_offers_begins_like_what_was_typed(before: str, names: list[str]) -> None:
    found = complete(before, Known(names, names))
    assert 0 <= found.back <= len(before)
    word = before[len(before) - found.back :]
    assert " " not in word
    for text in found.texts:
        assert text.isprintable()
        assert text.casefold()[:1] == word.casefold()[:1] or not word or not word.isascii()
