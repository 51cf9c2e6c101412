"""Shows what somebody agrees to who switches opt_in on, and what to write into the configuration then.

It agrees to nothing itself: that is done by who writes `consent_version` down, having read the words.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import requests

from .settings import read_settings

ANSWER_S = 10.0


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="the server, such as http://127.0.0.1:2700")
    parser.add_argument("--key", default="", help="a key of the server that may contribute, where it asks for keys")
    parser.add_argument("--contributor", default="", help="your contributor's token; without one another is made")
    asked = parser.parse_args()
    try:
        shown = show(asked.url, asked.key, asked.contributor)
    except (requests.RequestException, ValueError) as error:
        sys.exit(f"{asked.url} cannot show its words: {error}")
    sys.stdout.write(shown)


def show(url: str, key: str = "", contributor: str = "") -> str:
    """The words, then the settings of one who agrees to them. Raises requests.RequestException, ValueError."""
    settings = read_settings({"url": url, "key": key}, "earloop-words")
    if not contributor:
        contributor = _asked("POST", f"{settings.base}/v1/people", settings.headers)["token"]
    state = _asked("GET", f"{settings.base}/v1/consent", {**settings.headers, "X-Contributor": contributor})
    offer = state["offer"]
    purposes = "\n".join(f"  {name}: {words}" for name, words in offer["purposes"].items())
    section = {"opt_in": True, "contributor": contributor, "consent_version": offer["version"]}
    note = "" if state["collecting"] else "\nThis server keeps nothing of anybody at present.\n"
    return (
        f"{offer['text']}\nPurposes, chosen by consent_purposes:\n{purposes}\n{note}\n"
        "If you agree, and all who speak to this assistant do, write into its section of mycroft.conf:\n\n"
        f"{json.dumps(section, indent=2)}\n\n"
        "Setting opt_in to false takes it back: what the server keeps of you is deleted then.\n"
    )


def _asked(method: str, url: str, headers: dict[str, str]) -> dict[str, Any]:
    answer = requests.request(method, url, headers=headers, timeout=ANSWER_S)
    answer.raise_for_status()
    return dict(answer.json())
