"""Damaged bundles: a manifest in which anything stands anywhere, a zip after accidents. BadBundle, or a bundle."""

from __future__ import annotations

import copy
import json
import random
import zipfile
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_server.errors import BadBundle
from stt_server.speech.bundle import MANIFEST, Manifest, entry, load_bundle, read_manifest, shipped
from tests.fuzz import inputs
from tests.fuzz.accidents import damaged
from tests.fuzz.budget import both_runs, counted, drawn, play, played

if TYPE_CHECKING:
    from pathlib import Path

FILES: Final = ["model.fp32.onnx", "model.int8.onnx", "lm.arpa.gz", "golden.flac", "card.md"]
SHIPPED: Final[dict[str, Any]] = json.loads((shipped() / MANIFEST).read_text(encoding="utf-8"))
PATHS: Final = ["../x", "/etc/passwd", "a/../../x", "", ".", "..\\x", "a\0b", "x" * 5000, "model.fp32.onnx"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose files hold nothing; loading it checks their hashes and does not read a model."""
    folder = tmp_path_factory.mktemp("bundle")
    for name in FILES:
        (folder / name).write_bytes(name.encode())
    manifest = copy.deepcopy(SHIPPED) | {"lm": entry(folder, "lm.arpa.gz"), "card": entry(folder, "card.md")}
    manifest["models"] = {name: entry(folder, f"model.{name}.onnx") for name in ("fp32", "int8")}
    manifest["golden"] = {**entry(folder, "golden.flac"), "text": "yes"}
    manifest.pop("kit", None)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    assert load_bundle(folder).name == SHIPPED["name"]
    return folder


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to every value inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(way for key, item in inside for way in places(item, (*path, key)))]


WAYS: Final = [way for way in places(SHIPPED) if way]
VALUES: Final[st.SearchStrategy[object]] = inputs.VALUES | st.sampled_from(PATHS) | st.just({}) | st.just([])


@both_runs
def test_a_manifest_with_anything_anywhere_is_one_or_is_refused_by_field(folder: Path, tmp_path: Path, nightly: bool):
    name = "manifests with anything anywhere"

    @drawn(name, nightly=nightly)
    @given(
        changes=st.lists(st.tuples(st.sampled_from(WAYS), st.none() | VALUES), min_size=1, max_size=3),
        extra=inputs.KEYS,
    )
    def check(changes: list[tuple[tuple[Any, ...], object]], extra: str) -> None:
        played[name] += 1
        manifest = copy.deepcopy(SHIPPED)
        for way, value in changes:
            _put(manifest, way, value, extra)
        (tmp_path / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        try:
            read = read_manifest(tmp_path)
        except BadBundle as error:
            assert error.field
            assert len(error.message) < 2000
        else:
            assert isinstance(read, Manifest)
            assert all((tmp_path / file.path).resolve().is_relative_to(tmp_path.resolve()) for file in read.files())

    with counted(name, nightly=nightly):
        check()


def _put(manifest: dict[str, Any], way: tuple[Any, ...], value: object, extra: str) -> None:
    """Another value at a place that is still there; for None the place goes, and one that nobody knows comes."""
    holder: Any = manifest
    for key in way[:-1]:
        if not isinstance(holder, dict | list) or (isinstance(holder, dict) and key not in holder):
            return
        if isinstance(holder, list) and (not isinstance(key, int) or key >= len(holder)):
            return
        holder = holder[key]
    if isinstance(holder, dict):
        if value is None:
            holder.pop(way[-1], None)
            holder[extra] = 1
        else:
            holder[way[-1]] = copy.deepcopy(value)  # one value may be put into itself


@both_runs
def test_a_damaged_manifest_or_zip_is_a_bundle_or_is_refused(folder: Path, tmp_path: Path, nightly: bool):
    packed = tmp_path / "bundle.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, f"bundle/{file.name}")
    whole, text = packed.read_bytes(), (folder / MANIFEST).read_bytes()
    assert load_bundle(packed).name == SHIPPED["name"]

    def case(seed: str) -> None:
        dice = random.Random(seed)
        try:
            if dice.random() < 0.5:
                packed.write_bytes(damaged(whole, dice))
                load_bundle(packed)
            else:
                (tmp_path / MANIFEST).write_bytes(damaged(text, dice))
                read_manifest(tmp_path)
        except BadBundle as error:
            assert error.field

    play("damaged bundles", case, nightly=nightly)
