"""What every test may rely on: no setting leaks in from the developer's shell, state goes to a folder of its own."""

import gc
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.bundles import shipped_bundle, tiny, tiny_bundle  # noqa: F401  fixtures for every test
from tests.postgres import database_url, postgres, postgres_url  # noqa: F401  the same
from tests.s3 import objects_url, s3, s3_url  # noqa: F401  the same


def pytest_configure(config: pytest.Config) -> None:
    """How hypothesis draws: a busy machine is no fault, and every run has the same cases, but for those at night."""
    nightly = config.getoption("markexpr") == "nightly"
    settings.register_profile(
        "earloop",
        derandomize=not nightly,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("earloop")


def pytest_collection_finish() -> None:
    """Thousands of tests are objects that live as long as the run: the collector need not look at them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Only EARLOOP_CORPORA stays; a server started without --data writes into a temporary folder."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("EARLOOP_") and name != "EARLOOP_CORPORA"]:
            patch.delenv(name)
        patch.setenv("EARLOOP_DATA", str(tmp_path_factory.mktemp("data")))
        patch.setenv("EARLOOP_WYOMING_PORT", "0")  # one number for all servers of a machine
        yield


@pytest.fixture(scope="session", autouse=True)
def _hears_ctrl_c() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would every command that a test interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
