import gc
import json
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from stt_server.errors import BadBundle, NotFound
from stt_server.speech import bundle as bundles
from stt_server.speech.bundle import entry, find_bundle, load_bundle, read_manifest, shipped, write_bundle
from stt_server.speech.recognizer import Recognizer


@pytest.fixture
def folder(tiny_bundle, tmp_path):
    """A copy of the tiny bundle to spoil."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "tiny"))


def manifest_of(folder):
    return json.loads((folder / "bundle.json").read_text(encoding="utf-8"))


def rewrite(folder, **changes):
    """Set keys of the manifest, dots for levels; None takes a key out."""
    manifest = manifest_of(folder)
    for key, value in changes.items():
        *levels, last = key.split("__")
        part = manifest
        for level in levels:
            part = part[level]
        if value is None:
            del part[last]
        else:
            part[last] = value
    (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")


def zipped(folder, target, inside=""):
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"{inside}{path.relative_to(folder)}")
    return target


def refusal(source):
    with pytest.raises(BadBundle) as refused:
        load_bundle(source)
    return refused.value


def test_a_whole_bundle_opens_and_says_where_its_files_lie(tiny_bundle):
    bundle = load_bundle(tiny_bundle)
    assert bundle.name == "tiny"
    assert bundle.model_path("int8") == tiny_bundle / "model.int8.onnx"
    assert bundle.path(bundle.manifest.golden).is_file()
    assert len(bundle.manifest.alphabet) == 29


@pytest.mark.parametrize("name", ["model.fp32.onnx", "lm.arpa.gz", "golden.flac"])
def test_a_file_with_one_bit_turned_is_refused_by_name(folder, name):
    damaged = bytearray((folder / name).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (folder / name).write_bytes(damaged)
    error = refusal(folder)
    assert error.field == name
    assert "damaged" in str(error)


def test_a_file_that_is_not_there_is_refused_by_name(folder):
    (folder / "lm.arpa.gz").unlink()
    error = refusal(folder)
    assert error.field == "lm.arpa.gz"
    assert "lacks lm.arpa.gz" in str(error)


@pytest.mark.parametrize("field", ["name", "labels", "states", "models", "golden", "features", "lag_frames"])
def test_a_missing_field_is_named(folder, field):
    rewrite(folder, **{field: None})
    assert refusal(folder).field == field


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [
        ("colour", "blue", "colour"),
        ("features__preemphasis", 0.97, "features.preemphasis"),
        ("format", 2, "format"),
        ("kind", "offline", "kind"),
        ("blank", 28, "blank"),
        ("name", "../first", "name"),
        ("labels", "aab", "labels"),
        ("labels", "", "labels"),
        ("features__sample_rate", 8000, "features.sample_rate"),
        ("features__low_hz", 7900, "features"),
        ("step_frames", 10, "step_frames"),
        ("decoder__engine", "magic", "decoder.engine"),
        ("decoder__beam", 0, "decoder.beam"),
        ("models__fp32__sha256", "abc", "models.fp32.sha256"),
    ],
)
def test_a_field_that_cannot_be_is_named(folder, key, value, field):
    rewrite(folder, **{key: value})
    error = refusal(folder)
    assert error.field == field
    assert f"`{field}`" in str(error)


@pytest.mark.parametrize(
    "path", ["../tiny/golden.flac", "/etc/hostname", "a/../../golden.flac", "..\\golden.flac", "", "a\0b", "a/" * 200]
)
def test_no_file_may_lie_outside_the_bundle(folder, path):
    rewrite(folder, golden__path=path)
    error = refusal(folder)
    assert error.field == "golden"
    assert "inside the bundle" in str(error)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff\xfe not json"])
def test_a_manifest_that_is_no_json_object_is_refused(folder, text):
    (folder / "bundle.json").write_bytes(text.encode("latin-1"))
    assert refusal(folder).field == "bundle.json"


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path):
    assert refusal(tmp_path).field == "bundle.json"


def test_a_bundle_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(NotFound, match="models list"):
        load_bundle(tmp_path / "nothing")


@pytest.mark.parametrize("inside", ["", "tiny-1/"])
def test_a_zip_opens_like_its_folder_and_leaves_nothing_behind(tiny_bundle, tmp_path, inside):
    bundle = load_bundle(zipped(tiny_bundle, tmp_path / "tiny.zip", inside))
    folder = bundle.folder
    assert bundle.manifest == read_manifest(tiny_bundle)
    assert bundle.path(bundle.manifest.golden).is_file()
    del bundle
    gc.collect()
    assert not folder.exists()


def test_a_damaged_zip_is_refused_and_leaves_nothing_behind(tiny_bundle, tmp_path, monkeypatch):
    made = tmp_path / "unpacked"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    whole = zipped(tiny_bundle, tmp_path / "tiny.zip").read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:3000] + bytes(500) + whole[3500:], b"PK but no zip"):
        (tmp_path / "damaged.zip").write_bytes(damaged)
        assert refusal(tmp_path / "damaged.zip").field == "damaged.zip"
        assert list(made.iterdir()) == []


def test_a_zip_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(bundles, "MAX_ZIP_BYTES", 1000)
    assert "unpacks to more" in str(refusal(zipped(tiny_bundle, tmp_path / "tiny.zip")))


def test_a_zip_cannot_write_outside_its_folder(tiny_bundle, tmp_path, monkeypatch):
    made = tmp_path / "unpacked"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    source = zipped(tiny_bundle, tmp_path / "tiny.zip")
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("../../escaped.txt", "here")
    load_bundle(source)
    assert not list(tmp_path.glob("escaped.txt"))
    assert not list(made.glob("escaped.txt"))


@pytest.mark.parametrize(
    ("key", "value"), [("labels", " abc"), ("features__n_mels", 40), ("states", {"gru": [32]}), ("states__gru", [48])]
)
def test_a_manifest_that_does_not_fit_its_graph_is_refused_by_field(folder, key, value):
    rewrite(folder, **{key: value})
    with pytest.raises(BadBundle) as refused:
        Recognizer.load(folder)
    assert (refused.value.field or "").split(".")[0] == key.split("__")[0]


def test_a_graph_that_onnxruntime_cannot_open_is_a_bad_bundle(folder):
    (folder / "model.fp32.onnx").write_bytes(b"not a model")
    rewrite(folder, models__fp32=entry(folder, "model.fp32.onnx"))
    with pytest.raises(BadBundle, match="not a model") as refused:
        Recognizer.load(folder)
    assert refused.value.field == "models"


def test_a_precision_the_bundle_lacks_is_refused_with_those_it_has(folder):
    rewrite(folder, models__int8=None)
    with pytest.raises(BadBundle, match="no int8 model, only fp32"):
        Recognizer.load(folder, precision="int8")


def test_a_bundle_is_found_by_path_and_by_name_in_the_data_folder(folder, tmp_path):
    (tmp_path / "models").mkdir()
    named = Path(shutil.copytree(folder, tmp_path / "models" / "kitchen"))
    assert find_bundle(str(folder)) == folder
    assert find_bundle("kitchen", tmp_path) == named
    assert find_bundle(str(zipped(folder, tmp_path / "tiny.zip"))) == tmp_path / "tiny.zip"
    with pytest.raises(NotFound, match="'attic'"):
        find_bundle("attic", tmp_path)


def test_no_name_means_the_shipped_bundle(folder, monkeypatch):
    monkeypatch.setattr(bundles, "BUNDLES", folder.parent)
    assert find_bundle("") == shipped() == folder
    monkeypatch.setattr(bundles, "BUNDLES", folder / "empty")
    with pytest.raises(NotFound, match="--model"):
        shipped()


def test_a_written_bundle_is_checked_at_once(folder):
    manifest = manifest_of(folder)
    assert write_bundle(folder, manifest).manifest.version == "1"
    with pytest.raises(BadBundle):
        write_bundle(folder, {**manifest, "licence": None})


def test_the_shipped_bundle_is_whole_and_small(shipped_bundle):
    bundle = load_bundle(shipped_bundle)
    assert set(bundle.manifest.models) == {"fp32", "int8"}
    assert bundle.manifest.right_context_ms <= 320
    assert 2e6 <= bundle.manifest.parameters <= 6e6
    assert bundle.manifest.lm
    assert bundle.manifest.kit
    assert bundle.manifest.card
    assert sum(path.stat().st_size for path in shipped_bundle.rglob("*") if path.is_file()) <= 20e6
    assert np.isfinite([row["wer"]["value"] for row in bundle.manifest.error_rates]).all()
