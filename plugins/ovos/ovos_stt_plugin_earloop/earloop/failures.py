"""Why nothing was heard. All are of `requests`' kinds, for Mycroft's listener says by those what went wrong:

    Failure (RequestException)      "I can't reach my backend"
    ├─ Unreachable (ConnectionError)  no_internet as well: nobody there, or gone and not back in time
    ├─ Late (Timeout)                 there, but silent
    ├─ Busy                           full, or over a limit
    ├─ Fault                          it fails over what it is asked to hear
    └─ Refused                        asks for another key, or for other settings; trying again is no use

OVOS asks its fallback engine after any exception.
"""

from __future__ import annotations

import requests


class Failure(requests.RequestException):
    """The server could not be had, or would not hear this."""


class Unreachable(Failure, requests.ConnectionError):
    pass


class Late(Failure, requests.Timeout):
    pass


class Busy(Failure):
    pass


class Fault(Failure):
    pass


class Refused(Failure):
    """`field` names the option to blame, where it is one."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field
