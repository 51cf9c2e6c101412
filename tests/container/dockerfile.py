"""A Dockerfile and a .dockerignore as far as the tests ask: instructions by stage, what is let into the build."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Stage:
    """What stands between one FROM and the next: the words of each instruction, in order."""

    base: str
    name: str
    lines: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [rest for word, rest in self.lines if word == instruction]

    def last(self, instruction: str) -> str:
        return self.all(instruction)[-1]

    def arguments(self) -> dict[str, str]:
        """ARG names with their defaults; empty where there is none."""
        return {name: value.strip('"') for name, _, value in (rest.partition("=") for rest in self.all("ARG"))}

    def environment(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for rest in self.all("ENV") for pair in rest.split())

    def copied(self) -> list[str]:
        """The paths that come from the build's own folder, not from another stage."""
        words = [rest.split() for rest in self.all("COPY")]
        return [path for each in words if not each[0].startswith("--from=") for path in each[:-1]]


def stages(text: str) -> tuple[Stage, list[Stage]]:
    """What stands before the first FROM, and the stages."""
    head, found = Stage("", ""), []
    bare = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n", " ", bare).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.upper() == "FROM":
            base, *as_name = rest.split()
            found.append(Stage(base, as_name[-1] if as_name else ""))
        elif word:
            (found[-1] if found else head).lines.append((word.upper(), " ".join(rest.split())))
    return head, found


def let_in(path: str, rules: str) -> bool:
    """Whether a .dockerignore lets a path of the repository into the build: the last rule that meets it decides."""
    parts = Path(path).parts
    above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    decided = True
    for rule in (line.strip() for line in rules.splitlines()):
        pattern, opens = rule.removeprefix("!"), rule.startswith("!")
        if pattern and not pattern.startswith("#") and any(_meets(each, pattern) for each in above):
            decided = opens
    return decided


def _meets(path: str, pattern: str) -> bool:
    """As the engine matches: `*` stays within a folder, `**/` is any number of folders."""
    expression = re.escape(pattern.strip("/")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
    return re.fullmatch(expression, path) is not None
