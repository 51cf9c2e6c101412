"""A language model comes into a bundle whole, proved and with its weights, or not at all."""

import json
import shutil
from pathlib import Path

import pytest

from stt_server.errors import BadBundle, BadInput, BadOption, Conflict, NotFound
from stt_server.speech.bundle import MANIFEST, entry, load_bundle
from training.lm import estimate, read_model, write_model
from training.lm.attaching import Weights, attach

TEXT = ["stop light", "light no", "yes stop", "no light stop"] * 2


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    shutil.copytree(tiny_bundle, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["error_rates"] = [{"decoder": name, "wer": 0.5} for name in ("greedy", "reference")]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def lm(tmp_path: Path) -> Path:
    write_model(estimate(TEXT, 3), tmp_path / "new.arpa.gz")
    return tmp_path / "new.arpa.gz"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_bundle_has_the_model_and_its_weights_and_the_old_one_stays(
    bundle: Path, lm: Path, tmp_path: Path
) -> None:
    before = contents(bundle)
    made = attach(bundle, lm, Weights(alpha=1.25, beta=0.5, beam=20), tmp_path / "made").bundle
    assert contents(bundle) == before
    assert made.manifest.lm is not None
    assert read_model(made.path(made.manifest.lm)).order == 3
    decoder = made.manifest.decoder
    assert (decoder.alpha, decoder.beta, decoder.beam) == (1.25, 0.5, 20)
    assert {each.name for each in made.folder.iterdir()} == {MANIFEST, *(file.path for file in made.manifest.files())}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["made", "mine", "new.arpa.gz"]


def test_in_place_the_old_model_goes_and_all_else_stays(bundle: Path, lm: Path, tmp_path: Path) -> None:
    before = load_bundle(bundle)
    made = attach(bundle, lm, Weights(), None).bundle
    assert made.manifest.models == before.manifest.models
    assert (made.manifest.decoder.alpha, made.manifest.decoder.beta) == (
        before.manifest.decoder.alpha,
        before.manifest.decoder.beta,
    )
    assert before.manifest.lm
    assert not (bundle / before.manifest.lm.path).exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["mine", "new.arpa.gz"]
    assert attach(bundle, lm, Weights(alpha=2.0), None).bundle.manifest.decoder.alpha == 2.0  # the same once more


def test_what_was_measured_with_the_model_before_is_no_longer_said(bundle: Path, lm: Path) -> None:
    made = attach(bundle, lm, Weights(), None).bundle.manifest
    assert [row["decoder"] for row in made.error_rates] == ["greedy"]
    assert made.lineage["lm"]["name"] == "new.arpa.gz"
    assert made.lineage["lm"]["before"]


def test_a_card_tells_of_the_last_model_attached(bundle: Path, lm: Path) -> None:
    (bundle / "card.md").write_text("# Tiny\n\nHeard well.\n")
    manifest = json.loads((bundle / MANIFEST).read_text())
    (bundle / MANIFEST).write_text(json.dumps(manifest | {"card": entry(bundle, "card.md")}))
    attach(bundle, lm, Weights(alpha=0.25), None)
    made = attach(bundle, lm, Weights(alpha=0.75), None).bundle
    assert made.manifest.card
    card = made.path(made.manifest.card).read_text()
    assert card.startswith("# Tiny\n\nHeard well.\n\n## Language model\n\n`new.arpa.gz`")
    assert "alpha 0.75" in card
    assert "alpha 0.25" not in card


def test_a_bundle_that_no_longer_hears_its_golden_clip_is_left_as_it_was(bundle: Path, lm: Path) -> None:
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["golden"]["text"] = "yes yes"
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    before = contents(bundle)
    with pytest.raises(BadBundle, match="golden clip"):
        attach(bundle, lm, Weights(), None)
    assert contents(bundle) == before


def test_a_model_of_other_letters_is_refused(bundle: Path, tmp_path: Path) -> None:
    write_model(estimate(["STOP LIGHT", "YES no"], 2), tmp_path / "loud.arpa")
    with pytest.raises(BadInput, match=r"3 of its 4 words, such as 'STOP', cannot be written"):
        attach(bundle, tmp_path / "loud.arpa", Weights(), None)


def test_what_cannot_be_attached_is_refused_and_leaves_nothing(bundle: Path, lm: Path, tmp_path: Path) -> None:
    before = contents(tmp_path)
    (tmp_path / "bad.arpa").write_text("\\data\\\nngram 1=x\n")
    with pytest.raises(BadInput, match="line 2"):
        attach(bundle, tmp_path / "bad.arpa", Weights(), None)
    with pytest.raises(BadInput, match="name ends in .arpa.gz, .arpa, .lm"):
        attach(bundle, lm.rename(tmp_path / "new.txt"), Weights(), None)
    with pytest.raises(NotFound, match="no language model"):
        attach(bundle, tmp_path / "gone.arpa", Weights(), None)
    with pytest.raises(Conflict, match="there already"):
        attach(bundle, tmp_path / "new.txt", Weights(), bundle)
    (tmp_path / "new.txt").rename(lm)
    (tmp_path / "bad.arpa").unlink()
    assert contents(tmp_path) == before


def test_a_zip_gets_a_new_folder_only(bundle: Path, lm: Path, tmp_path: Path) -> None:
    zipped = Path(shutil.make_archive(str(tmp_path / "tiny"), "zip", bundle))
    with pytest.raises(BadOption, match="is a zip"):
        attach(zipped, lm, Weights(), None)
    assert attach(zipped, lm, Weights(), tmp_path / "made").bundle.name == "tiny"
