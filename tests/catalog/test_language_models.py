"""Language models of the catalog: kept once, versions that take over and give back, files that follow the rows."""

from pathlib import Path

import pytest

from stt_server.catalog.language_models import Weights, import_language_model, remove_language_model
from stt_server.catalog.shelf import FOLDER, Shelf
from stt_server.collection.withdrawal import erase_pending
from stt_server.errors import BadBundle, BadOption, NotFound
from stt_server.speech.decoder.library import library_path
from stt_server.speech.decoder.named import NamedModels, Profile
from stt_server.store import language_models
from stt_server.store.database import Database
from stt_server.store.objects import ObjectStore
from training.lm import estimate, write_model

pytestmark = pytest.mark.skipif(not library_path(), reason="the native decoder was not built here")

PROFILE = Profile(" 'abcdefghijklmnopqrstuvwxyz", 0.5, 1.0, 16)


class User:
    """Whoever decodes with these models."""


USER = User()


def written(folder: Path, *sentences: str, name: str = "given.lm") -> Path:
    write_model(estimate(sentences, 2), folder / name)
    return folder / name


def keep(database: Database, objects: ObjectStore, path: Path, name: str = "home", **more):
    return import_language_model(database, objects, path, name=name, actor="test", **more)


def knows(named: NamedModels, word: str, name: str = "home") -> bool:
    model = named.decoder(name, PROFILE).lm
    assert model is not None
    return model.knows(word)


@pytest.fixture
def named(data: Path) -> NamedModels:
    made = NamedModels(data / "lms")
    made.join(USER, PROFILE)
    return made


def test_a_new_version_takes_over_and_removing_it_gives_the_name_back(
    database: Database, objects: ObjectStore, data: Path, tmp_path: Path, named: NamedModels
) -> None:
    shelf = Shelf(database, objects, data)
    first = keep(database, objects, written(tmp_path, "lamp on"), reason="the first")
    named.offer(shelf.look())
    assert (first.ref, first.lineage, named.title("home")) == ("home@1", {"file": "given.lm", "order": 2}, "home@1")
    assert knows(named, "lamp")
    second = keep(database, objects, written(tmp_path, "dimmer on", name="other.arpa.gz"))
    named.offer(shelf.look())
    assert (second.version, named.title("home")) == (2, "home@2")
    assert knows(named, "dimmer")
    (gone,) = remove_language_model(database, "home", actor="test", reason="deaf")[:1]
    assert (gone.ref, gone.removed_reason, gone.object_key) == ("home@2", "deaf", None)


def test_removing_one_version_leaves_the_one_before_and_no_bytes(
    file: Database, objects: ObjectStore, data: Path, tmp_path: Path, named: NamedModels
) -> None:
    shelf = Shelf(file, objects, data)
    keep(file, objects, written(tmp_path, "lamp on"))
    second = keep(file, objects, written(tmp_path, "dimmer on"))
    named.offer(shelf.look())
    assert [each.ref for each in remove_language_model(file, "home@2", actor="test")] == ["home@2"]
    erase_pending(file, objects)
    named.offer(shelf.look())
    assert knows(named, "lamp")
    assert not list((data / FOLDER).glob(f"{second.id}*"))
    assert len(list(objects.each(language_models.PREFIX))) == 1
    with pytest.raises(NotFound):
        remove_language_model(file, "home@2", actor="test")
    third = keep(file, objects, written(tmp_path, "dimmer on"))
    assert third.version == 3, "what a removed one was called stays its own"
    with file.read() as connection:
        assert [each.version for each in language_models.listed(connection, removed=True)] == [3, 2, 1]


def test_the_same_file_again_is_the_same_row_unless_its_weights_are_others(
    file: Database, objects: ObjectStore, tmp_path: Path
) -> None:
    path = written(tmp_path, "lamp on")
    first = keep(file, objects, path)
    assert keep(file, objects, path) == first
    assert keep(file, objects, path, weights=Weights(alpha=0.8)).version == 2


def test_weights_of_the_row_are_used(
    file: Database, objects: ObjectStore, data: Path, tmp_path: Path, named: NamedModels
) -> None:
    keep(file, objects, written(tmp_path, "lamp on"), weights=Weights(alpha=0.8))
    offers = Shelf(file, objects, data).look()
    assert offers["home"].path.with_suffix(".json").read_text() == '{"alpha": 0.8}'
    named.offer(offers)
    assert named.models[0].usable


def test_a_file_of_the_folder_answers_where_the_catalog_has_nothing_of_its_name(
    file: Database, objects: ObjectStore, data: Path, tmp_path: Path, named: NamedModels
) -> None:
    (data / "lms").mkdir(parents=True)
    written(data / "lms", "curtain up", name="home.lm")
    shelf = Shelf(file, objects, data)
    named.offer(shelf.look())
    assert (knows(named, "curtain"), named.title("home")) == (True, "home")
    keep(file, objects, written(tmp_path, "lamp on"))
    named.offer(shelf.look())
    assert (knows(named, "curtain"), named.title("home")) == (False, "home@1")
    remove_language_model(file, "home", actor="test")
    named.offer(shelf.look())
    assert (knows(named, "curtain"), named.title("home")) == (True, "home")


def test_bytes_that_were_changed_are_not_used_and_leave_the_version_before(
    file: Database, objects: ObjectStore, data: Path, tmp_path: Path, named: NamedModels
) -> None:
    shelf = Shelf(file, objects, data)
    keep(file, objects, written(tmp_path, "lamp on"))
    named.offer(shelf.look())
    second = keep(file, objects, written(tmp_path, "dimmer on"))
    assert second.object_key is not None
    objects.put(second.object_key, b"something else")
    named.offer(shelf.look())
    assert knows(named, "lamp")
    assert named.title("home") == "home@1", "what is in use says which it is"
    assert "home@2 are others than were imported" in named.models[0].fault


def test_what_is_no_language_model_or_no_name_leaves_nothing(
    file: Database, objects: ObjectStore, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.arpa"
    bad.write_text("no model")
    with pytest.raises(BadBundle, match=r"bad\.arpa"):
        keep(file, objects, bad)
    with pytest.raises(BadOption, match="name"):
        keep(file, objects, written(tmp_path, "lamp on"), name="../home")
    with pytest.raises(BadOption, match="alpha"):
        keep(file, objects, written(tmp_path, "lamp on"), weights=Weights(alpha=1000.0))
    with pytest.raises(NotFound):
        keep(file, objects, tmp_path / "nobody.lm")
    assert list(objects.each(language_models.PREFIX)) == []
