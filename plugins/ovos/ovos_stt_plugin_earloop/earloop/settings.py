"""The plugin's section of mycroft.conf, checked once. README.md of the plugin has the table."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG = logging.getLogger(__name__)

# Put into the section by OVOS, by Mycroft or by habit.
_HOSTS_OWN = frozenset({"module", "lang", "credential", "fallback_module", "priority", "meta", "display_name"})
_SCHEMES = {"http": "http", "ws": "http", "https": "https", "wss": "https"}


@dataclass(frozen=True)
class Settings:
    """Times in seconds. `label` is what the plugin calls itself to the server."""

    url: str = "http://127.0.0.1:2700"
    key: str = ""
    contributor: str = ""
    model: str = ""
    language: str = ""
    sample_rate: int = 16000
    hotwords: tuple[str, ...] = ()
    hotword_files: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float = 5.0
    connect_s: float = 2.0
    retry_s: float = 2.0
    ca_file: str = ""
    device: str = ""
    opt_in: bool | None = None
    consent_version: str = ""
    consent_purposes: tuple[str, ...] = ("training",)
    label: str = "earloop"

    @property
    def base(self) -> str:
        """The server's address for HTTP, without a slash at its end."""
        parts = urlsplit(self.url if "://" in self.url else f"http://{self.url}")
        return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, parts.path.rstrip("/"), "", ""))

    @property
    def stream_url(self) -> str:
        return f"ws{self.base[4:]}/v1/stream"

    @property
    def headers(self) -> dict[str, str]:
        """Who asks."""
        headers = {"User-Agent": self.label}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        if self.contributor:
            headers["X-Contributor"] = self.contributor
        return headers


def read_settings(config: Mapping[str, Any], label: str, sample_rate: int = 16000) -> Settings:
    """The section as settings. Raises ValueError that names the setting; an unknown one is only warned of.

    `sample_rate` is the assistant's own, unless the section has another.
    """
    known = {each.name: each for each in fields(Settings)}
    for name in config:
        if name not in known and name not in _HOSTS_OWN:
            LOG.warning("Earloop's plugin has no setting %r; it is passed over.", name)
    given = {name: _checked(name, config[name]) for name in known if config.get(name) is not None}
    settings = Settings(**{"label": label, "sample_rate": sample_rate, **given})
    _check_address(settings)
    return settings


def _checked(name: str, value: Any) -> Any:
    if name in {"hotwords", "hotword_files", "consent_purposes"}:
        listed = [value] if isinstance(value, str) else value
        if not (isinstance(listed, (list, tuple)) and all(isinstance(each, str) for each in listed)):
            raise ValueError(f"{name} must be a list of texts.")
        return tuple(listed)
    if name.endswith("_s") or name == "sample_rate":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 48000:
            raise ValueError(f"{name} must be a number above 0, not {value!r}.")
        return value
    expected: tuple[type, str] = {"opt_in": (bool, "true or false"), "options": (dict, "an object")}.get(
        name, (str, "text")
    )
    if not isinstance(value, expected[0]):
        raise ValueError(f"{name} must be {expected[1]}, not {value!r}.")
    return value


def _check_address(settings: Settings) -> None:
    try:
        parts = urlsplit(settings.base)
        if not parts.hostname or parts.port == 0:  # asking for the port raises ValueError where it is no number
            raise ValueError
    except (ValueError, KeyError):
        raise ValueError(f"url must be an address such as http://127.0.0.1:2700, not {settings.url!r}.") from None
    if settings.ca_file and not Path(settings.ca_file).is_file():
        raise ValueError(f"ca_file must be a file of certificates, not {settings.ca_file!r}.")
