"""Wyoming, the protocol by which Home Assistant asks for speech to text, on a TCP port of its own. See README.md."""

from stt_server.protocols.wyoming.codec import Describe, Item, WyomingCodec
from stt_server.protocols.wyoming.frames import Frame, Frames
from stt_server.protocols.wyoming.info import Offered, info

__all__ = ["Describe", "Frame", "Frames", "Item", "Offered", "WyomingCodec", "info"]
