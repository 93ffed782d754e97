"""`python -m deploy up|down`, as the shell scripts beside this file call it."""

from __future__ import annotations

import argparse
import sys

from deploy import cluster
from deploy.errors import DeployError
from deploy.place import place_from_environment, place_to_stop


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser(
        "up",
        prog="deploy/up",
        description="Start the cluster of this data directory, or add what it lacks, and wait"
        " until it serves. HUBBUB_GATEWAYS says how many gateways (2), HUBBUB_DATA and"
        " HUBBUB_LISTEN where; docs/operations.md has the rest.",
    )
    up.add_argument(
        "--within", type=float, default=30.0, metavar="SECONDS", help="wait at most so long (30)"
    )
    commands.add_parser(
        "down", prog="deploy/down", description="Stop the cluster of this data directory."
    )
    arguments = parser.parse_args()
    try:
        if arguments.command == "up":
            cluster.up(place_from_environment(), within=arguments.within)
        else:
            cluster.down(place_to_stop())
    except DeployError as error:
        print(f"deploy/{arguments.command}: {_harmless(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"deploy/{arguments.command}: interrupted", file=sys.stderr)
        return 130
    return 0


def _harmless(text: str) -> str:
    """What it quotes is of others: the command line of whoever has the port, the end of a log."""
    from hubbub.visible import visible  # needs no environment

    return visible(text)


if __name__ == "__main__":
    sys.exit(main())
