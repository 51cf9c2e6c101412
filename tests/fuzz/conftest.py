"""Says at the end of a run how many cases were played."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.budget import played, spent_s

if TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not played:
        return
    terminalreporter.section(f"fuzz: {sum(played.values())} cases")
    for name, cases in sorted(played.items()):
        terminalreporter.write_line(f"{cases:>9} {name}, {spent_s[name]:.1f} s")
