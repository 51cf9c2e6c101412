import json
import shutil
from functools import partial

import pytest

from stt_server.commands.models import bundles
from stt_server.errors import BadBundle, NotFound
from tests.bundles import GOLDEN
from tests.commands import typed

run = partial(typed.run, family="models")


@pytest.fixture
def data(tmp_path, tiny_bundle, monkeypatch):
    """A data folder with one model called `kitchen`, and a copy that ships."""
    shutil.copytree(tiny_bundle, tmp_path / "data" / "models" / "kitchen")
    shutil.copytree(tiny_bundle, tmp_path / "bundles" / "tiny")
    monkeypatch.setenv("EARLOOP_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(bundles, "BUNDLES", tmp_path / "bundles")
    return tmp_path / "data"


def spoil(folder, **golden):
    manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    manifest["golden"].update(golden)
    (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_list_names_what_ships_and_what_lies_in_the_data_folder(capsys, data):
    code, out, _ = run(capsys, "list")
    assert code == 0
    shipped, own = out.splitlines()
    assert shipped.split() == ["tiny", "1", "0.1", "MB", "shipped"]
    assert own.endswith(str(data / "models" / "kitchen"))


def test_list_says_which_is_damaged_and_goes_on(capsys, data):
    (data / "models" / "kitchen" / "golden.flac").unlink()
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert "shipped" in out
    assert "kitchen          damaged: the bundle lacks golden.flac" in out


def test_list_says_when_there_is_none(capsys, data, monkeypatch):
    shutil.rmtree(data)
    monkeypatch.setattr(bundles, "BUNDLES", data)
    assert run(capsys, "list")[1].startswith("there is no model")


def test_show_tells_what_a_model_is(capsys, data):
    code, out, _ = run(capsys, "show", "kitchen")
    assert code == 0
    for fact in ("0.02 million", "95 ms", "fp32, int8", "reference, alpha 0.5", GOLDEN, "none; made by the tests"):
        assert fact in out


def test_verify_hears_the_golden_clip_in_every_precision(capsys, data):
    code, out, err = run(capsys, "verify", "kitchen")
    assert (code, err) == (0, "")
    assert out.splitlines() == [f"fp32: {GOLDEN!r}", f"int8: {GOLDEN!r}", "OK: tiny 1, 4 files"]


def test_verify_takes_a_path_and_a_zip(capsys, data, tmp_path):
    made = shutil.make_archive(str(tmp_path / "kitchen"), "zip", data / "models" / "kitchen")
    assert run(capsys, "verify", data / "models" / "kitchen")[0] == 0
    assert run(capsys, "verify", made)[0] == 0


def test_verify_ends_with_the_fault(capsys, data):
    folder = data / "models" / "kitchen"
    spoil(folder, text="something else")
    code, out, err = run(capsys, "verify", "kitchen")
    assert (code, out) == (BadBundle.exit_code, f"fp32: {GOLDEN!r}\n")
    assert "in the golden clip, not 'something else'" in err
    (folder / "model.int8.onnx").write_bytes(b"")
    code, _, err = run(capsys, "verify", "kitchen")
    assert code == BadBundle.exit_code
    assert "model.int8.onnx is damaged" in err


def test_a_model_that_is_not_there_is_said_so(capsys, data):
    for command in ("show", "verify"):
        code, _, err = run(capsys, command, "attic")
        assert code == NotFound.exit_code
        assert "'attic'" in err


def test_the_shipped_model_verifies(capsys, shipped_bundle):
    code, out, err = run(capsys, "verify", shipped_bundle)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith("OK: ")
