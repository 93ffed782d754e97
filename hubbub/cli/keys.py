"""`hubbub keys`: the keys that encrypt a bus which leaves the machine (CURVE, RFC 26/CurveZMQ).

    DIR/broker.key, broker.key_secret   the brokers' pair
    DIR/client.key, client.key_secret   this machine's gateways and workers
    DIR/clients/NAME.key                the public keys that brokers let in

Another machine is given a directory of its own that holds broker.key and its client.key_secret.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from hubbub.cli import common


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "directory", type=Path, metavar="DIR", help="where the keys are, or will be"
    )
    parser.add_argument(
        "--client",
        metavar="NAME",
        help="let in another machine: its public key is added to DIR/clients",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR2", help="the new machine's directory (with --client)"
    )


def run(args: argparse.Namespace) -> int:
    """Make what is missing in DIR, or a client directory beside it. 0 done, 2 usage, 74 cannot."""
    if (args.client is None) != (args.out is None):
        print("hubbub keys: --client and --out go together", file=sys.stderr)
        return 2
    if args.client is not None and not args.client.replace("-", "").replace("_", "").isalnum():
        print("hubbub keys: a client's name has letters, digits, - and _ only", file=sys.stderr)
        return 2
    try:
        if args.client is None:
            make_cluster(args.directory)
            print(f"keys are in {args.directory}; use them with HUBBUB_BUS_KEYS={args.directory}")
        else:
            make_client(args.directory, args.client, args.out)
            print(
                f"copy {args.out} to the other machine and set HUBBUB_BUS_KEYS there;"
                " the brokers here let it in from now on"
            )
    except FileExistsError as error:
        print(f"hubbub keys: {error.filename} exists already", file=sys.stderr)
        return common.IO_ERROR
    except OSError as error:
        print(f"hubbub keys: {error.filename}: {error.strerror}", file=sys.stderr)
        return common.IO_ERROR
    return 0


def make_cluster(directory: Path) -> None:
    """Make the brokers' pair and the local client's, keeping those that exist.

    Raises:
        OSError: the directory cannot be written.
    """
    _private(directory)
    _private(directory / "clients")
    for name in ("broker", "client"):
        if not (directory / f"{name}.key_secret").exists():
            _pair(directory, name)
    shutil.copyfile(directory / "client.key", directory / "clients" / "local.key")


def make_client(directory: Path, name: str, out: Path) -> None:
    """Make a directory for another machine and let its key in.

    Raises:
        FileExistsError: there is a client of that name, or `out` holds keys.
        OSError: something cannot be read or written.
    """
    known = directory / "clients" / f"{name}.key"
    for path in (known, out / "client.key_secret"):
        if path.exists():
            raise FileExistsError(17, "exists already", str(path))
    _private(out)
    shutil.copyfile(directory / "broker.key", out / "broker.key")
    _pair(out, "client")
    shutil.copyfile(out / "client.key", known)


def _pair(directory: Path, name: str) -> None:
    # Imported here: the other commands of this program do without ZeroMQ.
    import zmq.auth

    old = os.umask(0o077)
    try:
        zmq.auth.create_certificates(directory, name)
    finally:
        os.umask(old)


def _private(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
