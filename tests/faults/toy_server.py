"""`earloop serve` with the tests' toy recognizer; `TOY_STEP_S` in the environment makes it slow.

TOY_STEP_S=0.01 python -m tests.faults.toy_server serve --port 0
"""

import os
from unittest.mock import patch

from stt_server import cli, services
from tests.faults.streams import Slow


def main() -> None:
    """Only the loading of the model is other than in the real command."""
    toy = Slow(float(os.environ.get("TOY_STEP_S", "0")))
    with patch.object(services, "load_recognizer", lambda *_, **__: toy):
        cli.main()


if __name__ == "__main__":
    main()
