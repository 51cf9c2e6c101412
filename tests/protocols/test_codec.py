import pytest

from stt_server import errors
from stt_server.errors import EarloopError
from stt_server.protocols.codec import close_code, close_reason


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 1000),
        (errors.BadInput(""), 1008),
        (errors.BadAudio(""), 1008),
        (errors.BadOption(""), 1008),
        (errors.Unsupported(""), 1008),
        (errors.NotFound(""), 1008),
        (errors.Conflict(""), 1008),
        (errors.TimedOut(""), 1008),
        (errors.TooLarge(""), 1009),
        (errors.Busy(""), 1013),
        (errors.Unavailable(""), 1013),
        (errors.Internal(""), 1011),
        (EarloopError(""), 1011),
    ],
)
def test_an_error_kind_has_its_close_code(error, code):
    assert close_code(error) == code


def test_the_reason_of_a_close_frame_is_the_code_and_as_much_of_the_sentence_as_fits():
    assert close_reason(errors.BadAudio("the wav is cut")) == b"bad_audio: the wav is cut"
    reason = close_reason(errors.BadOption("é\ud800" * 200))
    assert len(reason) == 123
    assert reason.decode("ascii").startswith("bad_option: ????")
