"""Deepgram's `/v1/listen`, live and pre-recorded; README.md says what becomes of every option.

query       the query's pairs ─► Asked, with warnings
live        the WebSocket's codec
recorded    transcripts ─► the answer to a recording
refusals    an error ─► body, headers, close frame
transcript  what both answers are made of
"""

from stt_server.protocols.deepgram.live import DeepgramCodec
from stt_server.protocols.deepgram.query import Asked, parse_query
from stt_server.protocols.deepgram.recorded import Request, answer, refuse_json
from stt_server.protocols.deepgram.refusals import REQUEST_ID, header, refusal

__all__ = [
    "REQUEST_ID",
    "Asked",
    "DeepgramCodec",
    "Request",
    "answer",
    "header",
    "parse_query",
    "refusal",
    "refuse_json",
]
