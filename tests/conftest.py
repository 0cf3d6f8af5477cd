"""Which tests belong to a suite of their own, that `make test` leaves out; and what makes all of them faster."""

import gc
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

HERE = Path(__file__).parent
SUITES = {
    "interop": ["interop"],
    "processes": [
        "supervisor",
        "cli/test_demo.py",
        "client/test_issuer_and_token_commands.py",
        "docs/test_readme.py",
        "docs/test_tutorial.py",
        "gateway/wire/test_key_rotation.py",
        "gateway/wire/test_process.py",
        "issuer/test_issuer_reloading.py",
    ],
}
# How long an example takes is the machine's affair: on a busy one a good example is no failure.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
_SUITE_OF = {HERE / place: suite for suite, places in SUITES.items() for place in places}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for place in (item.path, *item.path.parents):
            if place in _SUITE_OF:
                item.add_marker(_SUITE_OF[place])


def pytest_configure() -> None:
    """A tenth of the suite's time went into looking for garbage, mostly among the tests that were collected."""
    gc.set_threshold(20_000, 20, 50)


def pytest_collection_finish() -> None:
    """What was collected stays until the end."""
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def all_is_closed() -> Iterator[None]:
    """What nobody closed is found where it is collected, at the latest here: still within a test, which then fails."""
    yield
    gc.collect()
