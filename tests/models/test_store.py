"""Records of added models: whole or not at all, checked against their files, never a pickle."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from voiceclone.errors import AlreadyExists, InvalidRequest, ModelFilesInvalid, ModelNotFound, StoreError
from voiceclone.models import ModelRecord, ModelStore
from voiceclone.types import ModelInfo


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    (folder / "sub").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"12345")
    (folder / "sub" / "config.json").write_text("{}")
    (folder / ".hidden").write_text("not counted")
    return folder


def info(name: str = "mine", path: Path | None = None, revision: str = "") -> ModelInfo:
    return ModelInfo(name, backend="b", revision=revision, path=str(path) if path else None, settings={"k": [1, 2]})


def test_a_record_comes_back_as_it_was_added(store: ModelStore, weights: Path) -> None:
    record = store.add(info(path=weights))
    assert store.get("mine") == record
    assert set(record.files) == {"model.safetensors", "sub/config.json"}
    assert record.files["model.safetensors"][0] == 5
    assert store.names() == ["mine"]
    assert list(store.records()) == [record]


def test_the_revision_is_that_of_the_files(store: ModelStore, weights: Path) -> None:
    first = store.add(info("one", weights)).info.revision
    assert store.add(info("two", weights)).info.revision == first
    (weights / "model.safetensors").write_bytes(b"12346")
    assert store.add(info("three", weights)).info.revision != first
    assert store.add(info("four", weights, "mine")).info.revision == "mine"


def test_verify_names_the_file_that_changed(store: ModelStore, weights: Path) -> None:
    store.add(info(path=weights))
    assert store.verify("mine").info.name == "mine"
    (weights / "model.safetensors").write_bytes(b"54321")
    with pytest.raises(ModelFilesInvalid, match=r"model\.safetensors has changed"):
        store.verify("mine")
    (weights / "model.safetensors").unlink()
    with pytest.raises(ModelFilesInvalid, match=r"model\.safetensors is missing"):
        store.verify("mine")


@pytest.mark.parametrize("name", ["weights.pt", "model.BIN", "a.ckpt", "b.pkl"])
def test_a_pickle_is_refused(store: ModelStore, weights: Path, name: str) -> None:
    (weights / name).write_bytes(b"x")
    with pytest.raises(ModelFilesInvalid, match="pickle"):
        store.add(info(path=weights))
    assert store.names() == []


def test_missing_files_are_refused(store: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(ModelFilesInvalid, match="no files") as caught:
        store.add(info(path=tmp_path / "nowhere"))
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("name", ["", "..", "a/b", "Mine", "-a", "a-", "a" * 64, "a.json"])
def test_a_name_that_could_be_a_path_is_refused_everywhere(store: ModelStore, name: str) -> None:
    for use in (store.get, store.remove, store.verify, lambda n: store.add(info(n))):
        with pytest.raises(InvalidRequest):
            use(name)  # type: ignore[operator]


def test_remove_forgets_the_record_and_keeps_the_users_files(store: ModelStore, weights: Path) -> None:
    store.add(info(path=weights))
    store.remove("mine")
    assert (weights / "model.safetensors").exists()
    for use in (store.get, store.remove):
        with pytest.raises(ModelNotFound):
            use("mine")


def test_a_damaged_record_hides_no_other(store: ModelStore) -> None:
    store.add(info("good", revision="1"))
    for name, text in {
        "cut": '{"info": {',
        "list": "[]",
        "odd": '{"info": {"x": 1}, "files": {}}',
    }.items():
        (store.directory / f"{name}.json").write_text(text)
        with pytest.raises(StoreError, match="damaged"):
            store.get(name)
    rows = list(store.records())
    assert [row.info.name for row in rows if isinstance(row, ModelRecord)] == ["good"]
    assert {row[0] for row in rows if isinstance(row, tuple)} == {"cut", "list", "odd"}


def test_of_many_who_add_the_same_name_one_wins(store: ModelStore) -> None:
    outcomes: list[str] = []

    def add(index: int) -> None:
        try:
            outcomes.append(store.add(info(revision=str(index))).info.revision)
        except AlreadyExists:
            outcomes.append("taken")

    threads = [threading.Thread(target=add, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [outcome for outcome in outcomes if outcome != "taken"]
    assert len(outcomes) == 8
    assert winners == [store.get("mine").info.revision]
    assert [file.name for file in store.directory.iterdir()] == ["mine.json"]
