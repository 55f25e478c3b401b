"""Real platforms for every test that wants one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.running import RunningPlatform

StartPlatform = Callable[..., RunningPlatform]


@pytest.fixture(scope="session")
def start_platform_for_session(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[StartPlatform]:
    """Start platforms that live until the end of the test run."""
    yield from _factory(tmp_path_factory)


@pytest.fixture
def start_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartPlatform]:
    """Start platforms with options of the test's choice, ended after it."""
    yield from _factory(tmp_path_factory)


@pytest.fixture(scope="session")
def platform(start_platform_for_session: StartPlatform) -> RunningPlatform:
    """Return a platform shared by many tests: leave no session running on it."""
    return start_platform_for_session()


@pytest.fixture(scope="session")
def stock_platform(start_platform_for_session: StartPlatform) -> RunningPlatform:
    """Return a shared platform that serves no capabilities, as clouditia.com does."""
    return start_platform_for_session("--stock")


def _factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartPlatform]:
    started: list[RunningPlatform] = []

    def start(*options: str) -> RunningPlatform:
        state = tmp_path_factory.mktemp("platform") / "state"
        started.append(RunningPlatform(state, *options))
        return started[-1]

    yield start
    for running in started:
        running.close()
