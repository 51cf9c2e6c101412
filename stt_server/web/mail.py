"""A mail by the server of the settings: `smtp://` with TLS where that is offered, `smtps://` with TLS at once."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from stt_server.addresses import is_loopback
from stt_server.errors import BadOption, Unavailable
from stt_server.jobs.telling import letter_of, subject_of

if TYPE_CHECKING:
    from stt_server.settings import Settings
    from stt_server.store.notices import Notice

DEADLINE_S: Final = 20.0  # of each word of the conversation
PORTS: Final = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class Mail:
    """By which server, from whom, to whom."""

    host: str
    port: int
    encrypted: bool  # from the start
    sender: str
    recipients: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)

    async def tell(self, notice: Notice) -> None:
        """Raises Unavailable where the mail server did not take it."""
        try:
            await asyncio.to_thread(self._send, self._message(notice))
        except (smtplib.SMTPException, OSError) as error:
            raise Unavailable(f"The mail server did not take it: {type(error).__name__}.") from error

    def _message(self, notice: Notice) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = subject_of(notice.job)
        message["From"], message["To"] = self.sender, ", ".join(self.recipients)
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(notice.id, self.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers it
        message.set_content(letter_of(notice.job))
        return message

    def _send(self, message: EmailMessage) -> None:
        context = ssl.create_default_context()
        if self.encrypted:
            with smtplib.SMTP_SSL(self.host, self.port, timeout=DEADLINE_S, context=context) as server:
                self._converse(server, message)
            return
        with smtplib.SMTP(self.host, self.port, timeout=DEADLINE_S) as server:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=context)
            elif self.user and not is_loopback(self.host):
                raise smtplib.SMTPNotSupportedError("no password is sent without TLS")
            self._converse(server, message)

    def _converse(self, server: smtplib.SMTP, message: EmailMessage) -> None:
        if self.user:
            server.login(self.user, self.password)
        server.send_message(message)


def mail_of(settings: Settings) -> Mail | None:
    """None where no server is set. Raises BadOption for a URL or an address that is none."""
    if not settings.smtp_url:
        return None
    try:
        parts = urlsplit(settings.smtp_url)
        port = parts.port or PORTS[parts.scheme]
    except (KeyError, ValueError):
        raise _no_url() from None
    if not parts.hostname:
        raise _no_url()
    recipients = tuple(each.strip() for each in settings.mail_to.split(",") if each.strip())
    if not recipients:
        raise BadOption("Setting mail_to takes at least one address.", field="mail_to")
    for name, address in (("mail_from", settings.mail_from), *(("mail_to", each) for each in recipients)):
        _check(name, address)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Mail(parts.hostname, port, parts.scheme == "smtps", settings.mail_from, recipients, user, password)


def _check(setting: str, address: str) -> None:
    try:
        parsed = Address(addr_spec=address)
    except (ValueError, IndexError) as error:
        raise BadOption(f"Setting {setting} cannot be {address[:80]!r}: it is no address.", field=setting) from error
    if not (parsed.username and parsed.domain):
        raise BadOption(f"Setting {setting} cannot be {address[:80]!r}: it is no address.", field=setting)


def _no_url() -> BadOption:
    return BadOption("Setting smtp_url takes a URL such as smtp://user:password@mail.example:587.", field="smtp_url")
