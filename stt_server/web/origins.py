"""Which pages may use the server from a browser. Programs that are no browser send neither header and pass.

A browser takes any page's word for where to connect. So a page of elsewhere could speak to a server on this machine,
and one whose own name suddenly resolves to this machine (DNS rebinding) would even look like the server's own page.

    Host     must be a name this server goes by: on loopback a loopback name; on an open server beyond it an address or
             a name without a dot; where keys are asked for any name. `allowed_hosts` adds names; where it is set and
             keys are asked for, it and loopback are all.
    Origin   of whatever may change something (all but plain GET, HEAD and OPTIONS) must be the server's own or one of
             `allowed_origins`; those may also read answers (CORS). Without it Sec-Fetch-Site must not say cross-site.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from stt_server.addresses import host_name, is_address, is_loopback
from stt_server.errors import BadOption, Forbidden
from stt_server.web.route import wants_socket

if TYPE_CHECKING:
    from stt_server.settings import Settings
    from stt_server.web.route import Handler

PREFLIGHT_S: Final = "600"  # how long a browser remembers what it may
EXPOSED: Final = (
    "Retry-After, X-Earloop-Error, X-Earloop-Ignored, X-Earloop-Language, X-Earloop-Model, X-Earloop-Version"
)
METHODS: Final = "GET, POST, PUT, PATCH, DELETE"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Origins:
    """What the settings say of hosts and origins. Raises BadOption."""

    def __init__(self, settings: Settings) -> None:
        self._hosts = frozenset(host_name(name) for name in _listed(settings.allowed_hosts))
        self._origins = frozenset(_origin(each) for each in _listed(settings.allowed_origins))
        self._on_loopback = is_loopback(settings.host)
        self._open = settings.open

    def check(self, request: web.Request) -> None:
        """Raises Forbidden for a browser that comes from a page which may not."""
        host = request.headers.get(hdrs.HOST)
        if host is not None and not self._goes_by(host_name(host)):
            raise Forbidden(
                f"This server does not go by the name {host_name(host)!r}; its operator can add it to `allowed_hosts`."
            )
        if (request.method not in SAFE or wants_socket(request)) and not self._welcome(request):
            raise Forbidden(
                "A page of another site may not use this server; its operator can add the site to `allowed_origins`."
            )

    def preflight(self, request: web.Request) -> web.Response | None:
        """The answer to a browser that asks whether a page of elsewhere may; None for what is no such question."""
        wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD)
        if request.method != "OPTIONS" or wanted is None:
            return None
        if not self._welcome(request):
            raise Forbidden("A page of this site may not use this server: it is not one of `allowed_origins`.")
        headers: dict[str, str] = {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS,
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "*"),
            hdrs.ACCESS_CONTROL_MAX_AGE: PREFLIGHT_S,
        }
        if request.headers.get("Access-Control-Request-Private-Network") == "true":
            headers["Access-Control-Allow-Private-Network"] = "true"
        return web.Response(status=204, headers=headers)

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let pages of the allowed origins read the answer, errors too."""
        if not self._origins:
            return
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        origin = request.headers.get(hdrs.ORIGIN, "")
        if origin.casefold() in self._origins:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED

    def _goes_by(self, name: str) -> bool:
        if name in self._hosts or is_loopback(name):
            return True
        if self._on_loopback:
            return False
        if self._open:
            return is_address(name) or "." not in name
        return not self._hosts

    def is_own(self, request: web.Request) -> bool:
        """Whether no page of elsewhere sent it: one of ours did, or no page at all."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None:
            return request.headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}
        return origin.partition("://")[2].casefold() == request.headers.get(hdrs.HOST, "").casefold() != ""

    def _welcome(self, request: web.Request) -> bool:
        return self.is_own(request) or request.headers.get(hdrs.ORIGIN, "").casefold() in self._origins


ORIGINS: Final = web.AppKey("origins", Origins)


@web.middleware
async def check_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let no page of elsewhere to a handler. Raises Forbidden."""
    origins = request.app[ORIGINS]
    origins.check(request)
    return origins.preflight(request) or await handler(request)


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _origin(text: str) -> str:
    """An origin as browsers send it, but for the case of letters."""
    try:
        parts = urlsplit(text)
        if not parts.scheme or not parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError
    except ValueError as error:  # also for brackets that do not close
        raise BadOption(
            f"Setting allowed_origins cannot hold {text!r}; it takes origins such as https://app.example.",
            field="allowed_origins",
        ) from error
    return f"{parts.scheme}://{parts.netloc}".casefold()
