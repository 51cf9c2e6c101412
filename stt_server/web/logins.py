"""Wrong keys from one address: only so many get an answer of their own.

Guessing 256 bits is hopeless anyway; this keeps a broken client or a scanner from the database and the log. Whoever
shows a right key is let in, however many wrong ones came from the same address, which may be a proxy's.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from stt_server.errors import LimitReached

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE: Final = 20
EVERY_S: Final = 3.0  # one more
ADDRESSES: Final = 4096  # remembered; beyond, the one that failed least recently is forgotten


class Failures:
    """A bucket of tries per address, filled again by one every `EVERY_S`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()  # when the address has all its tries again

    def note(self, address: str) -> None:
        """Somebody there showed a wrong key. Raises LimitReached when that was one too many."""
        now, place = self._clock(), _network(address)
        full_at = max(now, self._full_at.pop(place, now)) + EVERY_S
        wait_s = round(full_at - now - AT_ONCE * EVERY_S, 6)  # what is left of rounding is no wait
        self._full_at[place] = full_at - EVERY_S if wait_s > 0 else full_at
        if len(self._full_at) > ADDRESSES:
            self._full_at.popitem(last=False)
        if wait_s > 0:
            raise LimitReached("Too many wrong keys came from your address; check the key.", retry_after_s=wait_s)

    def __len__(self) -> int:
        return len(self._full_at)


def _network(address: str) -> str:
    """Whom the address stands for: of IPv6 one subscriber has a /64."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))
