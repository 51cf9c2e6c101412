"""The certificate: read at the start, and again on SIGHUP, for those who connect from then on."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, NoReturn

from stt_server.errors import BadOption
from stt_server.logs import EventLog

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.settings import Settings

log = EventLog("tls")


class Certificate:
    """A certificate chain with its private key. `context` takes TLS 1.2 and newer."""

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain, self._key = chain, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self.load()

    def load(self) -> None:
        """Read both files. Raises BadOption for what cannot be read or does not fit together."""
        for path, setting in ((self._chain, "tls_certificate"), (self._key, "tls_key")):
            try:
                path.open("rb").close()
            except OSError as error:
                raise BadOption(
                    f"{path} of setting {setting} cannot be read: {error.strerror}.", field=setting
                ) from error
        trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for context in (trial, self.context):  # what is wrong must not spoil what is in use
            self._load_into(context)

    def reload(self) -> None:
        """Read them again; files that are wrong are logged, and what was read before stays."""
        try:
            self.load()
        except BadOption as error:
            log.error("certificate_not_reloaded", why=error.message)
        else:
            log.info("certificate_reloaded", file=str(self._chain))

    def _load_into(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._chain, self._key, password=_no_password)
        except ssl.SSLError as error:
            why = (error.reason or "no PEM").replace("_", " ").lower()
            raise BadOption(
                f"{self._chain} and {self._key} are not a certificate and its key in PEM: {why}.",
                field="tls_certificate",
            ) from error


def certificate_of(settings: Settings) -> Certificate | None:
    """What the settings name; None for plain HTTP. Raises BadOption."""
    chain, key = settings.tls_certificate, settings.tls_key
    if chain is None and key is None:
        return None
    if chain is None or key is None:
        missing = "tls_key" if key is None else "tls_certificate"
        raise BadOption(f"TLS needs both tls_certificate and tls_key; {missing} is not set.", field=missing)
    return Certificate(chain, key)


def _no_password() -> NoReturn:
    """Called for an encrypted key, else OpenSSL would ask on the terminal."""
    raise BadOption("The file of setting tls_key is encrypted; Earloop takes one without a password.", field="tls_key")
