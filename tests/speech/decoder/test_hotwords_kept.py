"""What was made ready for a stream is kept for the one that opens with the same wishes."""

from functools import partial

from stt_server.messages import Open
from stt_server.speech.decoder.hotwords import spell_hotwords
from stt_server.speech.decoder.interface import Asked
from stt_server.speech.decoder.native import NativeDecoder
from tests.speech.decoder.posteriors import ALPHABET, native


def test_hotwords_are_compiled_once_for_all_streams_that_ask_for_them():
    decoder = native(None)
    asked = Asked(boosts=(("dimmer", 4.0), ("blinds", 2.0)))
    one, two = compiled(decoder, asked), compiled(decoder, Asked(boosts=asked.boosts))
    assert one is two
    assert one is not compiled(decoder, Asked(boosts=(("dimmer", 5.0),)))


def compiled(decoder: NativeDecoder, asked: Asked) -> object:
    made = decoder.prepare(asked)
    assert isinstance(made, partial)
    return made.args[0]


def test_whoever_changes_the_spelled_boosts_changes_nobody_elses():
    options = Open("test", hotwords=("Dimmer",), boosts=(("Dimmer", 3.0),))
    spelled = spell_hotwords(options, ALPHABET)
    assert spelled == {"dimmer": 3.0}
    spelled.clear()
    assert spell_hotwords(options, ALPHABET) == {"dimmer": 3.0}
