"""The rules of the house: who may import whom, what is pinned, what stands in no file."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PARTS = ("hubbub", "gateway", "broker", "worker")
ARROWS = {"hubbub": set(), "gateway": {"hubbub"}, "broker": {"hubbub"}, "worker": {"hubbub"}}
# Values and rules, STYLE: no clock, no socket.
PURE = ("frames", "names", "scripts", "visible", "errors")
IMPURE = {"asyncio", "zmq", "socket", "time", "uvloop", "sqlalchemy"}
LONGEST = 500  # lines; the usual module has less than half
SCRIPTS = (
    "deploy/up",
    "deploy/down",
    "deploy/test",
    "deploy/run",
    "deploy/lib.sh",
    "tests/faults/run",
)


def imports(path: Path) -> Iterator[str]:
    """The top-level names of all that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def tracked_files() -> list[Path]:
    """The files that belong to the project: git's, or in a tree without git, all but made ones."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        names = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        made = {".venv", "var", "__pycache__", ".git"}
        names = [path for path in ROOT.rglob("*") if not made & set(path.relative_to(ROOT).parts)]
    return [path for path in names if path.is_file()]


def pins(name: str) -> dict[str, str]:
    """The pins that a requirements file holds itself: normalized name -> version."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith(("#", "-r "))]
    for line in wanted:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line), f"{name}: {line!r}"
    return declared(wanted)


def declared(requirements: list[str]) -> dict[str, str]:
    pairs = (requirement.split("==") for requirement in requirements)
    return {normal(name): version for name, version in pairs}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def project() -> dict[str, object]:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = data["project"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("part", PARTS)
def test_dependencies_point_one_way(part: str) -> None:
    """“`gateway`, `broker` and `worker` import `hubbub`; `hubbub` imports none of them.”"""
    others = set(PARTS) - {part} - ARROWS[part]
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / part).rglob("*.py")
        for name in set(imports(path)) & (others | {"tests", "deploy", "bench"})
    ]
    assert not wrong


@pytest.mark.parametrize("module", PURE)
def test_values_and_rules_know_no_socket_and_no_clock(module: str) -> None:
    """“values and rules: import no asyncio, zmq, socket, time”"""
    path = ROOT / "hubbub" / module
    paths = list(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    assert paths
    for path in paths:
        assert not set(imports(path)) & IMPURE, path


def test_stopping_needs_nothing_but_a_python() -> None:
    """`deploy/down` works when the environment is gone: no import at the top of its modules."""
    for path in (ROOT / "deploy").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [getattr(node, "module", "") or "", *(alias.name for alias in node.names)]
                assert not {"hubbub", "msgpack", "supervisor"} & {
                    name.partition(".")[0] for name in names
                }, path


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md", "supervisord.conf"])
def test_what_is_to_be_typed_is_found_in_the_environment(page: str) -> None:
    """“bare `supervisord` is not on the PATH, and the system's python has no uvloop”"""
    text = (ROOT / page).read_text(encoding="utf-8")
    typed = re.findall(r"(\S*)\b(supervisord|supervisorctl|python3?) -", text)
    assert typed
    assert {before.removeprefix("`") for before, _ in typed} == {".venv/bin/"}


def test_what_is_declared_is_what_is_pinned() -> None:
    runtime = declared(_strings(project()["dependencies"]))
    pinned = pins("requirements.txt")
    assert runtime.items() <= pinned.items()
    assert set(pinned) == closure(runtime)


def test_the_test_extra_is_what_is_pinned_for_tests() -> None:
    extras = project()["optional-dependencies"]
    assert isinstance(extras, dict)
    extra = declared(_strings(extras["test"]))
    pinned = pins("requirements-test.txt")
    assert extra.items() <= pinned.items()
    assert set(pinned) == closure(extra) - set(pins("requirements.txt"))


def closure(names: dict[str, str]) -> set[str]:
    """These distributions and all that they need, as installed here."""
    from packaging.requirements import Requirement

    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = normal(waiting.pop())
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            # Of Python 3.11 to 3.14, so that one list serves all of them.
            if requirement.marker is None or any(
                requirement.marker.evaluate({"extra": "", "python_version": version})
                for version in ("3.11", "3.12", "3.13", "3.14")
            ):
                waiting.append(requirement.name)
    return found


def test_what_is_installed_is_what_is_pinned() -> None:
    for name, version in (pins("requirements.txt") | pins("requirements-test.txt")).items():
        assert metadata.version(name) == version, name


def test_no_file_names_a_package_registry() -> None:
    """Which registry serves the packages is the installer's configuration, never ours."""
    # Written so that this file does not hold them either.
    hosts = re.compile(
        rb"py" rb"pi\.(org|python)|python" rb"hosted|registry\.npm|deb\.deb" rb"ian|index-" rb"url"
    )
    named = [path for path in tracked_files() if hosts.search(path.read_bytes())]
    assert not named


def test_no_module_is_longer_than_one_can_read() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for part in (*PARTS, "deploy")
        for path in (ROOT / part).rglob("*.py")
        if (lines := len(path.read_bytes().splitlines())) > LONGEST
    }
    assert not long


def test_a_newer_version_means_a_changelog_that_names_it() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## Unreleased" in changelog or f"## {project()['version']}" in changelog


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_are_posix_sh(script: str) -> None:
    path = ROOT / script
    subprocess.run(["sh", "-n", path], check=True)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\[\[ |\bfunction \w|\blocal \w|\$'|<<<|&>|\bsource ", text)
    if path.suffix != ".sh":
        assert text.startswith("#!/bin/sh\n")
        assert path.stat().st_mode & 0o111


class TestSupervisordConf:
    @pytest.fixture
    def config(self) -> configparser.RawConfigParser:
        config = configparser.RawConfigParser(inline_comment_prefixes=(";",))
        config.read(ROOT / "supervisord.conf", encoding="utf-8")
        return config

    def test_it_needs_no_variable(self, config: configparser.RawConfigParser) -> None:
        """“`supervisord -c supervisord.conf` by hand works too: with no variable set.”"""
        values = " ".join(value for name in config.sections() for _, value in config.items(name))
        assert set(re.findall(r"%\((\w+)\)", values)) == {"here"}

    def test_its_directories_stand_in_the_clone(self, config: configparser.RawConfigParser) -> None:
        files = [
            value
            for name in config.sections()
            for key, value in config.items(name)
            if key in ("logfile", "pidfile", "file", "stdout_logfile")
        ]
        assert len(files) == 9
        for value in files:
            directory = Path(value.replace("%(here)s", str(ROOT))).parent
            assert (directory / ".gitignore") in tracked_files(), directory

    def test_it_runs_two_of_each_kind_one_program_each(
        self, config: configparser.RawConfigParser
    ) -> None:
        """“2 gateways, 2 brokers, 2 workers”; “one program per gateway”"""
        programs = {name[8:]: name for name in config.sections() if name.startswith("program:")}
        assert set(programs) == {
            f"{kind}-{number}" for kind in ("broker", "worker", "gateway") for number in (1, 2)
        }
        for name, section in programs.items():
            kind, _, number = name.partition("-")
            program = dict(config.items(section))
            assert program["command"] == f'"%(here)s/deploy/run" {kind} --number {number}'
            assert "numprocs" not in program

    def test_every_program_stops_whole_and_has_time_to_drain(
        self, config: configparser.RawConfigParser
    ) -> None:
        for section in (name for name in config.sections() if name.startswith("program:")):
            assert config.getboolean(section, "stopasgroup")
            assert config.getboolean(section, "killasgroup")
            assert config.getint(section, "stopwaitsecs") > 10
            assert config.get(section, "exitcodes") == "78"

    def test_gateways_stop_first_and_brokers_last(
        self, config: configparser.RawConfigParser
    ) -> None:
        def priority(kind: str) -> int:
            return config.getint(f"program:{kind}-1", "priority")

        assert priority("gateway") > priority("worker") > priority("broker")

    def test_its_socket_is_for_its_owner(self, config: configparser.RawConfigParser) -> None:
        assert config.get("unix_http_server", "chmod") == "0700"
        assert not config.has_section("inet_http_server")


def _strings(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(item) for item in value]
