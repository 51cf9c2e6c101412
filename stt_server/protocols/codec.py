"""What every stream protocol is to the pump that moves its messages, and what the JSON ones share.

    codec.connected()        what to do before the client has said anything
    codec.receive(message)   commands for the session, replies to send at once
    codec.send(event)        the messages that tell the client an event
    codec.render_error(e)    the messages that tell it an error, then close_code(e) and close_reason(e)
    codec.terms              what it asks of the connection itself

A codec belongs to one connection and knows nothing of sockets, time or models. The first command it yields is `Open`.
Its methods raise kinds of `EarloopError` only, whatever the client sends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from stt_server.errors import BadInput, Busy, EarloopError, Internal, LimitReached, TooLarge, Unavailable

if TYPE_CHECKING:
    from stt_server.messages import Command, Event

Message = str | bytes

NORMAL: Final = 1000
REFUSED: Final = 1008  # policy violation: the nearest that RFC 6455 has to "what you sent will not do"
TOO_BIG: Final = 1009
OUR_FAULT: Final = 1011
TRY_LATER: Final = 1013
MAX_REASON_BYTES: Final = 123  # RFC 6455, 5.5: a control frame holds 125 bytes, two of them the code


@dataclass(frozen=True, slots=True)
class Reply:
    """A message to send at once, without asking the session."""

    message: Message


@dataclass(frozen=True, slots=True)
class Terms:
    """What a protocol asks of the connection that carries it.

    `subprotocols`: the first that the client offers of these is echoed; a key that is offered beside it never is.
    `idle_s`: how long a client may say nothing; None is the server's setting. `opens_at_once`: what `connected` says is
    done before the upgrade, so that a client with an impossible option gets a plain HTTP error; it says commands only.
    `model_in_query`: `?model=` names the model where `Open` names none. `max_message_bytes`: what a message may hold.
    """

    subprotocols: tuple[str, ...] = ()
    idle_s: float | None = None
    opens_at_once: bool = False
    model_in_query: bool = True
    max_message_bytes: int = 1 << 20


class Codec(Protocol):
    name: str

    @property
    def terms(self) -> Terms: ...

    def connected(self) -> list[Command | Reply]: ...

    def receive(self, message: Message) -> list[Command | Reply]: ...

    def send(self, event: Event) -> list[Message]: ...

    def render_error(self, error: EarloopError) -> list[Message]: ...

    def close_code(self, error: EarloopError | None) -> int: ...

    def close_reason(self, error: EarloopError | None) -> bytes: ...


def close_code(error: EarloopError | None) -> int:
    """The WebSocket close code that stands for an error, or for none."""
    if error is None:
        return NORMAL
    if isinstance(error, TooLarge):
        return TOO_BIG
    if isinstance(error, Busy | Unavailable | LimitReached):
        return TRY_LATER
    return OUR_FAULT if isinstance(error, Internal) or type(error) is EarloopError else REFUSED


def close_reason(error: EarloopError | None) -> bytes:
    """The error's code and sentence, as much of them as a close frame holds. In ASCII, so that no letter is cut."""
    if error is None:
        return b""
    return f"{error.code}: {error.message}".encode("ascii", "replace")[:MAX_REASON_BYTES]


def parse_object(text: str) -> dict[str, Any]:
    """A client's text message as the JSON object it must be. Raises BadInput saying what it is instead."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise BadInput("The text message is JSON nested too deeply; send a flat object.") from error
    except ValueError as error:  # JSONDecodeError, a constant, or an integer of thousands of digits
        raise BadInput(f"A text message must be a JSON object, but this is no JSON: {error}.") from error
    if not isinstance(value, dict):
        raise BadInput(f"A text message must be a JSON object, not {_kind(value)}.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    """`json` takes NaN and Infinity, which no other reader of JSON does."""
    raise ValueError(f"{name} is not JSON")


def _kind(value: object) -> str:
    kinds = {type(None): "null", bool: "a truth value", str: "a string", list: "an array"}
    return kinds.get(type(value), "a number")
