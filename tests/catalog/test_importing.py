import json
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from stt_server.catalog.importing import import_bundle, register_shipped
from stt_server.catalog.places import bundle_folder, drop_removed
from stt_server.catalog.promotion import promote, remove
from stt_server.errors import BadBundle, BadOption, NotFound
from stt_server.speech.bundle import load_bundle
from stt_server.speech.recognizer import Recognizer
from stt_server.store import erasures, models, routes
from tests.catalog.conftest import rewrite


def imported(database, objects, path, name=None, **more):
    return import_bundle(database, objects, path, name=name, actor="test", **more)


def live(database):
    with database.read() as connection:
        return routes.find(connection, "live")


def every(database):
    with database.read() as connection:
        return models.listed(connection, removed=True)


def test_a_bundle_becomes_one_object_and_one_row(database, objects, bundle, data):
    made = imported(database, objects, bundle)
    assert (made.name, made.version, made.language, made.status) == ("tiny", "1", "en", "candidate")
    assert made.size == objects.size(f"models/{made.id}.zip")
    with database.read() as connection:
        assert models.get(connection, "tiny") == models.get(connection, made.id) == models.get(connection, "tiny@1")
    folder = bundle_folder(objects, made, data)
    assert folder == data / "models" / made.id
    assert Recognizer.load(folder).version == made.title


def test_a_zip_becomes_the_same_row_as_its_folder(file, objects, bundle, tmp_path):
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "bundle")
    assert imported(file, objects, tmp_path / "packed.zip") == imported(file, objects, bundle)
    assert len(list(objects.each("models/"))) == 1
    assert packed


def test_another_name_is_written_into_the_manifest(file, objects, bundle, data):
    made = imported(file, objects, bundle, name="kitchen")
    manifest = load_bundle(bundle_folder(objects, made, data)).manifest
    assert (manifest.name, manifest.lineage["imported_as"]) == ("kitchen", "tiny 1")
    assert imported(file, objects, bundle, name="kitchen") == made
    assert imported(file, objects, bundle).name == "tiny"


def test_a_version_that_other_bytes_have_gets_a_hash(file, objects, bundle):
    first = imported(file, objects, bundle)
    other = imported(file, objects, rewrite(bundle, licence="another"))
    assert first.version == "1"
    assert other.version.startswith("1+")
    assert imported(file, objects, bundle) == other


def test_nothing_is_kept_of_a_bundle_that_hears_something_else(file, objects, bundle):
    golden = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))["golden"]
    rewrite(bundle, golden=golden | {"text": "go away"})
    with pytest.raises(BadBundle, match="golden clip"):
        imported(file, objects, bundle)
    assert every(file) == []
    assert list(objects.each("models/")) == []


def test_nothing_is_kept_of_a_damaged_bundle(file, objects, bundle):
    (bundle / "model.int8.onnx").write_bytes(b"")
    with pytest.raises(BadBundle, match=r"model\.int8\.onnx is damaged"):
        imported(file, objects, bundle)
    assert every(file) == []


@pytest.mark.parametrize("name", ["Kitchen", "a b", "", "a@1", "x" * 101])
def test_a_name_that_is_none_is_refused(file, objects, bundle, name):
    with pytest.raises(BadOption, match="A model's name"):
        imported(file, objects, bundle, name=name)


def test_several_that_import_the_same_at_once_get_one_row(database, objects, bundle):
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(imported, database, objects, bundle) for _ in range(4)]
        made = {call.result(60).id for call in calls}
    assert made == {each.id for each in every(database)}
    assert len(made) == 1
    with database.read() as connection:
        asked = set(erasures.pending(connection, 10))
    assert {key for key, _ in objects.each("models/")} - asked == {f"models/{made.pop()}.zip"}


def test_a_servers_own_bundle_is_live_until_somebody_chooses_another(database, tiny_bundle, bundle):
    first = register_shipped(database, tiny_bundle, "tiny", "server")
    assert register_shipped(database, tiny_bundle, "tiny", "server") == first
    assert live(database).model_id == first.id
    second = register_shipped(database, rewrite(bundle, version="2"), "newer", "server")
    assert live(database).model_id == second.id
    promote(database, first.id, actor="command")
    assert register_shipped(database, bundle, "newer", "server") == second
    assert live(database).model_id == first.id


def test_what_a_server_has_set_stays_when_an_operator_chooses_it(file, tiny_bundle, bundle):
    first = register_shipped(file, tiny_bundle, "tiny", "server")
    promote(file, first.id, actor="command")
    register_shipped(file, rewrite(bundle, version="2"), "newer", "server")
    assert live(file).model_id == first.id


def test_a_shipped_bundle_is_found_where_it_is_and_refused_when_it_is_another(file, objects, bundle, data):
    made = register_shipped(file, bundle, str(bundle), "server")
    assert bundle_folder(objects, made, data) == bundle
    rewrite(bundle, version="2")
    with pytest.raises(BadBundle, match="not that of tiny@1 any more"):
        bundle_folder(objects, made, data)


def test_a_zip_that_a_server_names_is_unpacked(file, objects, bundle, data, tmp_path):
    with zipfile.ZipFile(tmp_path / "tiny.zip", "w") as archive:
        for path in bundle.iterdir():
            archive.write(path, path.name)
    made = register_shipped(file, bundle, str(tmp_path / "tiny.zip"), "server")
    assert bundle_folder(objects, made, data) == data / "models" / made.id


def test_a_damaged_folder_is_unpacked_anew(file, objects, bundle, data):
    made = imported(file, objects, bundle)
    folder = bundle_folder(objects, made, data)
    (folder / "golden.flac").write_bytes(b"")
    load_bundle(bundle_folder(objects, made, data))
    assert (folder / "golden.flac").read_bytes() == (bundle / "golden.flac").read_bytes()


def test_several_unpack_one_model_at_once(file, objects, bundle, data):
    made = imported(file, objects, bundle)
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(bundle_folder, objects, made, data) for _ in range(8)]
        assert {call.result(60) for call in calls} == {data / "models" / made.id}
    assert list((data / "models" / ".incoming").iterdir()) == []


def test_an_object_that_was_changed_is_refused(file, objects, bundle, data):
    made = imported(file, objects, bundle)
    objects.put(made.object_key, b"no zip")
    with pytest.raises(BadBundle, match="damaged"):
        bundle_folder(objects, made, data)


def test_a_removed_model_leaves_its_row_and_no_bytes(database, objects, bundle, data):
    made = imported(database, objects, bundle)
    folder = bundle_folder(objects, made, data)
    remove(database, made.id, actor="command")
    with database.read() as connection:
        assert erasures.pending(connection, 10) == [made.object_key]
        gone = models.get(connection, made.id)
        with pytest.raises(NotFound, match="There is no model 'tiny'"):
            models.get(connection, "tiny")
    with pytest.raises(NotFound, match="was removed"):
        bundle_folder(objects, gone, data)
    assert drop_removed(database, data) == 1
    assert not folder.exists()
    assert imported(database, objects, bundle).id != made.id
