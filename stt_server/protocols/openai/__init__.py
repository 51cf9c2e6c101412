"""`POST /v1/audio/transcriptions` and `/v1/models` of OpenAI's interface, as pure functions.

    request     a form's fields ─► Request: what is asked, and what of it has no effect here
    chunking    `chunking_strategy` ─► when an utterance ends
    answers     Transcript ─► json, text, verbose_json; the model list
    subtitles   Transcript ─► srt, vtt
    events      finals, one by one ─► the events of `stream=true`
    refusals    an error ─► its body

    realtime    the codec of `WS /v1/realtime`; realtime_session: what such a session is set to (REALTIME.md)

Sources: openai/openai-openapi (openapi.yaml) and the client openai/openai-python. A client always names a model, often
`whisper-1`: one we do not have means the default, and the answer names what ran. What would change the shape of the
answer and cannot be honoured is refused, since the client could not read what we send; what only tunes the hosted
models is passed over and named in `X-Earloop-Ignored`.
"""

from stt_server.protocols.openai.answers import JSON, TEXT, answer, model_entry, model_list, model_object
from stt_server.protocols.openai.events import DONE, EVENTS, Deltas, failed
from stt_server.protocols.openai.refusals import no_translations, refusal
from stt_server.protocols.openai.request import Request, as_sent, check_language, ignored, parse_form, require_file

__all__ = [
    "DONE",
    "EVENTS",
    "JSON",
    "TEXT",
    "Deltas",
    "Request",
    "answer",
    "as_sent",
    "check_language",
    "failed",
    "ignored",
    "model_entry",
    "model_list",
    "model_object",
    "no_translations",
    "parse_form",
    "refusal",
    "require_file",
]
