"""What every test may rely on: no setting leaks in from the developer's shell, state goes to a folder of its own."""

import os
from collections.abc import Iterator

import pytest

from tests.bundles import shipped_bundle, tiny, tiny_bundle  # noqa: F401  fixtures for every test
from tests.postgres import database_url, postgres, postgres_url  # noqa: F401  the same
from tests.s3 import objects_url, s3, s3_url  # noqa: F401  the same


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Only EARLOOP_CORPORA stays; a server started without --data writes into a temporary folder."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("EARLOOP_") and name != "EARLOOP_CORPORA"]:
            patch.delenv(name)
        patch.setenv("EARLOOP_DATA", str(tmp_path_factory.mktemp("data")))
        patch.setenv("EARLOOP_WYOMING_PORT", "0")  # one number for all servers of a machine
        yield
