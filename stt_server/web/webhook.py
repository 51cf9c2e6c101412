"""One POST to the URL of the settings, signed. No other address is ever asked: redirects are not followed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aiohttp

from stt_server.errors import BadOption, Unavailable
from stt_server.jobs.telling import EVENT, body_of, signature

if TYPE_CHECKING:
    from stt_server.settings import Settings
    from stt_server.store.notices import Notice

DEADLINE_S: Final = 20.0
LEAST_SECRET: Final = 16  # letters


@dataclass(frozen=True, slots=True)
class Webhook:
    """Whom to tell, and what proves that it is us."""

    url: str
    secret: str = field(repr=False)

    async def tell(self, notice: Notice) -> None:
        """Raises Unavailable where it did not arrive: a status other than 2xx, no answer, no connection."""
        body, moment = body_of(notice.job), int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"earloop/{metadata.version('earloop')}",
            "Earloop-Event": EVENT,
            "Earloop-Delivery": notice.id,  # the same in every try
            "Earloop-Signature": signature(self.secret, moment, body),
        }
        try:
            status = await self._post(body, headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"The webhook cannot be reached: {type(error).__name__}.") from error
        if not 200 <= status < 300:
            raise Unavailable(f"The webhook answered {status}.")

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        """The status alone is looked at; what else is answered is not read."""
        async with (
            asyncio.timeout(DEADLINE_S),
            aiohttp.ClientSession() as session,
            session.post(self.url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            return answer.status


def webhook_of(settings: Settings) -> Webhook | None:
    """None where no URL is set. Raises BadOption for one that is none, or a secret that is missing or short."""
    if not settings.webhook_url:
        return None
    parts = urlsplit(settings.webhook_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadOption("Setting webhook_url takes a URL such as https://example.org/hook.", field="webhook_url")
    if len(settings.webhook_secret) < LEAST_SECRET:
        raise BadOption(
            f"Setting webhook_secret takes at least {LEAST_SECRET} letters: it proves that a notice is ours.",
            field="webhook_secret",
        )
    return Webhook(settings.webhook_url, settings.webhook_secret)
