"""Where the gateways of a running cluster really listen, and whether that is where it is meant to.

supervisord keeps the settings that it was started with: what is set now may name another place.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from deploy import processes
from deploy.errors import DeployError
from deploy.place import Address, Place, resolve, shown
from deploy.rpc import Program


def check(place: Place, programs: Iterable[Program], *, settled: bool) -> None:
    """Raises DeployError when the gateways among these programs listen elsewhere than is set.

    Args:
        settled: nobody is being started, who may have claimed the first of several addresses only.
    """
    found: set[Address] = set()
    for program in programs:
        if program.kind == "gateway" and program.pid:
            found |= {(_plain(host), port) for host, port in processes.listening(program.pid)}
    # A gateway binds the first that its address stands for.
    wanted = {(_plain(str(resolve(*each)[0][4][0])), each[1]) for each in place.addresses}
    if found - wanted or (settled and found and wanted - found):
        here = ",".join(shown(*address) for address in sorted(found))
        there = ",".join(shown(*address) for address in place.addresses)
        raise DeployError(
            f"the cluster in {place.data} runs on {here}, and the settings say {there}:"
            f" set HUBBUB_LISTEN={here}, or to move it, stop it first with {place.down}."
        )


def _plain(host: str) -> str:
    """One spelling for each address; the kernel's tables know no interface of it."""
    return str(ipaddress.ip_address(host.partition("%")[0]))
