# What deploy/up, deploy/down, deploy/test and tests/faults/run share. POSIX sh, read with `.`; the
# caller has set $command to its own name and stands where the user called it.

fail() {
    printf '%s: %s\n' "$command" "$*" >&2
    exit 1
}

# Later steps stand in the checkout, so what the user named relative to his place is made absolute.
absolute() {
    case $1 in
        /*) printf '%s\n' "$1" ;;
        *) printf '%s/%s\n' "${PWD%/}" "$1" ;;
    esac
}

root=$(cd "$(dirname "$0")" && until [ -e pyproject.toml ] || [ "$PWD" = / ]; do cd ..; done && pwd -P)
if [ -n "${HUBBUB_DATA:-}" ]; then HUBBUB_DATA=$(absolute "$HUBBUB_DATA") && export HUBBUB_DATA; fi
if [ -n "${HUBBUB_CONFIG:-}" ]; then
    HUBBUB_CONFIG=$(absolute "$HUBBUB_CONFIG") && export HUBBUB_CONFIG
fi
case ${HUBBUB_PYTHON:-} in */*) HUBBUB_PYTHON=$(absolute "$HUBBUB_PYTHON") ;; esac
venv=$(absolute "${HUBBUB_VENV:-$root/.venv}")
HUBBUB_VENV=$venv
export HUBBUB_VENV
cd "$root"

# --- the interpreter --------------------------------------------------------------------------

# "3.11" of an interpreter, nothing of what is none. Old Pythons must understand the question.
version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || :
}

supported() {
    case $1 in 3.11 | 3.12 | 3.13 | 3.14) true ;; *) false ;; esac
}

# choose_python environment|alone: sets $python to an interpreter that can make an environment (or
# merely run alone), and $version; or ends with the reason.
choose_python() {
    need=$1
    lacking=
    set -- python3 python3.14 python3.13 python3.12 python3.11
    [ -z "${HUBBUB_PYTHON:-}" ] || set -- "$HUBBUB_PYTHON"
    for candidate in "$@"; do
        version=$(version_of "$candidate")
        if supported "$version"; then
            if [ "$need" = alone ] || "$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1; then
                python=$candidate
                return
            fi
            [ -n "$lacking" ] || lacking=$version
        elif [ -n "${HUBBUB_PYTHON:-}" ]; then
            fail "HUBBUB_PYTHON=$candidate is ${version:+Python }${version:-no Python}; Hubbub needs Python 3.11 to 3.14."
        fi
    done
    if [ -n "$lacking" ]; then
        fail "Python $lacking cannot make an environment here, since it lacks ensurepip; install the package python$lacking-venv (apt-get install python$lacking-venv) and try again."
    fi
    version=$(version_of python3)
    fail "Hubbub needs Python 3.11 to 3.14, and python3 here is ${version:-missing}; install one of these, or name it in HUBBUB_PYTHON."
}

# --- the environment --------------------------------------------------------------------------

# What the stamp of a finished environment must say: its Python, its place, its requirements.
# -I and -S keep this at a hundredth of a second.
expected_stamp() {
    "$venv/bin/python" -I -S - "$venv" "$@" <<'END' 2>/dev/null || :
import hashlib, sys
digest = hashlib.sha256()
for name in sys.argv[2:]:
    with open(name, "rb") as file:
        digest.update(file.read())
print("%d.%d.%d" % sys.version_info[:3], sys.argv[1], digest.hexdigest())
END
}

stamped() { # stamped NAME REQUIREMENTS...
    [ -r "$venv/$1" ] || return 1
    name=$1
    shift
    [ "$(cat "$venv/$name")" = "$(expected_stamp "$@")" ]
}

# A named interpreter must be the one that the environment was made with.
runtime_ready() {
    stamped stamp requirements.txt || return 1
    [ -z "${HUBBUB_PYTHON:-}" ] && return
    full=$("$HUBBUB_PYTHON" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || :
    [ "$full" = "$(cut -d ' ' -f 1 "$venv/stamp")" ]
}

tests_ready() {
    stamped stamp-test requirements.txt requirements-test.txt
}

# Whether any process runs on the environment: then it cannot be replaced under its feet.
venv_in_use() {
    printf '%s\n' "$venv/bin/python" "$venv/bin/python3" |
        grep -qzsxF -f - /proc/[0-9]*/cmdline 2>/dev/null
}

install() { # install REQUIREMENTS: wheels only, so no compiler is ever needed
    "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
        --only-binary :all: -r "$1" ||
        fail "$1 could not be installed into $venv; pip says why above."
}

# The project itself needs no build: a line in a .pth file makes the checkout importable. The
# command is a shell line that Python reads as a string, since a #! line holds no space and few bytes.
link_project() {
    site=$("$venv/bin/python" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    printf '%s\n' "$root" >"$site/hubbub.pth"
    cat >"$venv/bin/.hubbub.$$" <<END
#!/bin/sh
'''exec' "$venv/bin/python" "\$0" "\$@"
' '''
import sys

from hubbub.cli import main

sys.exit(main())
END
    chmod 755 "$venv/bin/.hubbub.$$"
    mv "$venv/bin/.hubbub.$$" "$venv/bin/hubbub"
}

make_runtime() {
    if [ -d "$venv" ] && [ -n "$(ls -A "$venv")" ]; then
        [ -e "$venv/pyvenv.cfg" ] || [ -e "$venv/.hubbub" ] ||
            fail "$venv is not empty and no Python environment; name another directory in HUBBUB_VENV."
        ! venv_in_use ||
            fail "$venv has to be made anew, and processes run on it; stop them first (deploy/down), or name another directory in HUBBUB_VENV."
    fi
    choose_python environment
    printf 'Making the environment in %s with Python %s; once, this takes a minute.\n' "$venv" "$version"
    rm -rf "$venv" 2>/dev/null && mkdir -p "$venv" && : >"$venv/.hubbub" ||
        fail "$venv cannot be written; name another directory in HUBBUB_VENV."
    "$python" -m venv "$venv" || fail "$python could not make an environment in $venv."
    install requirements.txt
    link_project
    expected_stamp requirements.txt >"$venv/stamp" # the last step: without it all is made anew
}

# ensure_venv runtime|tests: a finished environment in $venv. Quick when there is one.
ensure_venv() {
    if runtime_ready && [ -x "$venv/bin/hubbub" ]; then
        [ "$1" = runtime ] && return
        tests_ready && return
    fi
    mkdir -p "$(dirname "$venv")" 2>/dev/null && (: >>"$venv.lock") 2>/dev/null ||
        fail "$venv cannot be made, since $(dirname "$venv") cannot be written; name another directory in HUBBUB_VENV."
    if runtime_ready; then python=$venv/bin/python; else choose_python environment; fi
    # The lock belongs to descriptor 9, which Python inherits: whoever comes second waits here.
    exec 9>>"$venv.lock"
    "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
    runtime_ready || make_runtime
    [ -x "$venv/bin/hubbub" ] || link_project
    if [ "$1" = tests ] && ! tests_ready; then
        echo "Adding the test tools to $venv."
        install requirements-test.txt
        expected_stamp requirements.txt requirements-test.txt >"$venv/stamp-test"
    fi
    exec 9>&-
}
