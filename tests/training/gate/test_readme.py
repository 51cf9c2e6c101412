"""The README tells every key of gate.json; `python -m tests.training.gate.test_readme` writes its table."""

from pathlib import Path

from tests.training.report.test_readme import key_table
from training.gate import Report

README = Path(__file__).parents[3] / "training" / "gate" / "README.md"
OPEN, CLOSE = "<!-- keys -->\n", "<!-- /keys -->"


def table() -> str:
    return key_table(Report, leave_out=("policy",))


def test_the_readme_tells_every_key_of_the_verdict() -> None:
    text = README.read_text(encoding="utf-8")
    assert text.split(OPEN)[1].split(CLOSE)[0] == f"{table()}\n"


if __name__ == "__main__":
    before, rest = README.read_text(encoding="utf-8").split(OPEN)
    README.write_text(f"{before}{OPEN}{table()}\n{CLOSE}{rest.split(CLOSE)[1]}", encoding="utf-8")
