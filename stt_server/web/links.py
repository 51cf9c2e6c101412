"""Links to a clip's audio that work by themselves, for a quarter of an hour.

An `<audio>` element can send no header, and a key in a link would outlive what it was for. So whoever may see a clip
gets a link that is signed for that clip and a moment; the audio's route asks for nothing but that.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from stt_server.errors import Forbidden
from stt_server.web.signing import SIGNER

if TYPE_CHECKING:
    from aiohttp import web

LASTS_S: Final = 900
_PURPOSE: Final = "audio"


def link_to(request: web.Request, clip_id: str) -> str:
    """Where to hear the clip, from now on for `LASTS_S`."""
    until = str(int(time.time()) + LASTS_S)
    signature = request.app[SIGNER].sign(_PURPOSE, clip_id, until)
    return f"/v1/clips/{clip_id}/audio?{urlencode({'until': until, 'signature': signature})}"


def check_link(request: web.Request, clip_id: str) -> None:
    """Raises Forbidden for a link that was not made here, not for this clip, or has ended."""
    until, signature = request.query.get("until", ""), request.query.get("signature", "")
    if not request.app[SIGNER].verify(signature, _PURPOSE, clip_id, until):
        raise Forbidden("The link to this clip's audio is not one that this server made; ask for the clip again.")
    if int(until) < time.time():
        raise Forbidden("The link to this clip's audio has ended; ask for the clip again.")
