"""Fixtures and report sections that every test may use; loaded by tests/conftest.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Generator
from typing import Any, Protocol

import pytest
import pytest_asyncio

from tests.support import Cluster

LINES = 60  # of each process's output, in the report of a test that failed
_clusters = pytest.StashKey[list[Cluster]]()


class ClusterFactory(Protocol):
    """Starts a cluster that ends with the test."""

    def __call__(
        self,
        *,
        gateways: int = 1,
        brokers: int = 2,
        workers: int = 1,
        one_port: bool = False,
        **settings: object,
    ) -> Awaitable[Cluster]: ...


@pytest_asyncio.fixture
async def clusters(request: pytest.FixtureRequest) -> AsyncIterator[list[Cluster]]:
    """Those a test has made; they end with it, and nothing they wrote may tell of a bug."""
    clusters: list[Cluster] = []
    request.node.stash[_clusters] = clusters
    yield clusters
    troubles: list[str] = []
    for cluster in clusters:
        try:
            await cluster.stop()
        finally:
            await cluster.close()
        troubles += cluster.troubles()
    assert not troubles, "\n".join(["a process wrote what none may write:", *troubles[:20]])


@pytest.fixture
def make_cluster(clusters: list[Cluster]) -> ClusterFactory:
    """Starts real clusters."""

    async def start(**options: Any) -> Cluster:
        cluster = Cluster(**options)
        clusters.append(cluster)
        await cluster.start()
        return cluster

    return start


@pytest_asyncio.fixture
async def cluster(make_cluster: ClusterFactory) -> Cluster:
    """Two gateways on ports of their own, two brokers, one worker."""
    return await make_cluster(gateways=2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    clusters = item.stash.get(_clusters, [])
    if report.failed:
        for cluster in clusters:
            report.sections += [
                (f"{name} wrote", "\n".join(text.splitlines()[-LINES:]))
                for name, text in cluster.outputs()
            ]
    if call.when == "teardown":
        for cluster in clusters:
            cluster.remove()
    return report
