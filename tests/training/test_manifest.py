"""The manifest: what is written is read back, and what is wrong is named with its file, line and field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voiceclone.errors import InvalidManifest
from voiceclone.training.manifest import MANIFEST_NAME, PARTIAL_NAME, ManifestItem, ManifestWriter, Word, read_manifest


def item(number: int = 1, **changes: Any) -> ManifestItem:
    fields: dict[str, Any] = {
        "id": f"u{number}",
        "audio": f"audio/u{number}.flac",
        "text": "Hi.",
        "speaker": "flite/slt*1.08",
        "base": "flite/slt",
        "split": "train",
        "phones": ("pau", "hh", "ay", "pau"),
        "stresses": (0, 0, 1, 2),
        "ends": (0.1, 0.2, 0.45, 0.5),
        "words": (Word("Hi", 1, 2),),
    }
    return ManifestItem(**{**fields, **changes})


def write_lines(folder: Path, *lines: str) -> None:
    (folder / MANIFEST_NAME).write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    plain = item(2, phones=None, stresses=None, ends=None, words=None, text="Größe ungewiß")
    with ManifestWriter(tmp_path) as writer:
        writer.write(item(1))
        writer.write(plain)
        writer.finish()
    assert read_manifest(tmp_path) == [item(1), plain]
    assert item(1).aligned
    assert not plain.aligned


def test_the_manifest_appears_only_when_finished(tmp_path: Path) -> None:
    with ManifestWriter(tmp_path) as writer:
        writer.write(item(1))
        assert not (tmp_path / MANIFEST_NAME).exists()
        assert (tmp_path / PARTIAL_NAME).exists()
        writer.finish()
    assert (tmp_path / MANIFEST_NAME).exists()
    assert not (tmp_path / PARTIAL_NAME).exists()


def test_a_cut_off_run_is_taken_up_again(tmp_path: Path) -> None:
    with ManifestWriter(tmp_path) as writer:
        writer.write(item(1))
        writer.write(item(2))
    partial = tmp_path / PARTIAL_NAME
    partial.write_text(partial.read_text()[:-20])  # the process died inside the second line
    with ManifestWriter(tmp_path) as writer:
        assert "u1" in writer
        assert "u2" not in writer
        writer.write(item(2))
        writer.write(item(2))
        writer.finish()
    assert [entry.id for entry in read_manifest(tmp_path)] == ["u1", "u2"]


def test_a_finished_corpus_can_grow(tmp_path: Path) -> None:
    for number in (2, 1):
        with ManifestWriter(tmp_path) as writer:
            writer.write(item(number))
            writer.finish()
    assert [entry.id for entry in read_manifest(tmp_path)] == ["u1", "u2"]


def test_the_writer_refuses_what_the_reader_would_refuse(tmp_path: Path) -> None:
    with ManifestWriter(tmp_path) as writer, pytest.raises(ValueError, match="ends"):
        writer.write(item(1, ends=(0.1, 0.3, 0.2, 0.5)))


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda fields: fields.pop(name)


def having(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda fields: fields.update({name: value})


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        (without("text"), "text", "non-empty string"),
        (having("id", 7), "id", "non-empty string"),
        (having("audio", "/etc/x.flac"), "audio", "inside the corpus folder"),
        (having("audio", "a/../../x.flac"), "audio", "inside the corpus folder"),
        (having("split", "dev"), "split", "train, valid, test"),
        (having("colour", "red"), "colour", "no such field"),
        (without("ends"), "ends", "together or none"),
        (having("phones", "pau"), "phones", "non-empty list"),
        (having("phones", ["pau", "hh", "xx", "pau"]), "phones", "'xx'"),
        (having("phones", ["pau", "hh", "pad", "pau"]), "phones", "'pad'"),
        (having("stresses", [0, 0, 1]), "stresses", r"as many entries as phones \(4\), got 3"),
        (having("stresses", [0, 1, 1, 2]), "stresses", "0..0 on 'hh'"),
        (having("stresses", [0, 0, 3, 2]), "stresses", "0..2 on 'ay'"),
        (having("stresses", [0, 0, True, 2]), "stresses", "got True at index 2"),
        (having("ends", [0.1, 0.2, 0.2, 0.5]), "ends", "strictly rising"),
        (having("ends", [0.1, 0.2, 0.3, float("nan")]), "ends", "finite"),
        (having("words", [["Hi", 3, 2]]), "words", "inside the 4 phones"),
        (having("words", [["Hi", 3]]), "words", "first_phone"),
    ],
)
def test_a_wrong_line_is_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], field: str, expected: str
) -> None:
    fields = json.loads(item(2).to_json())
    change(fields)
    write_lines(tmp_path, item(1).to_json(), json.dumps(fields))
    with pytest.raises(InvalidManifest, match=rf"{MANIFEST_NAME}, line 2, field '{field}': .*{expected}") as caught:
        read_manifest(tmp_path)
    assert str(tmp_path) not in str(caught.value), "messages travel to callers, who must not learn paths"


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    write_lines(tmp_path, "{")
    with pytest.raises(InvalidManifest, match="line 1, field 'line': expected a JSON object"):
        read_manifest(tmp_path)


def test_an_id_is_used_once(tmp_path: Path) -> None:
    write_lines(tmp_path, item(1).to_json(), item(1).to_json())
    with pytest.raises(InvalidManifest, match="line 2, field 'id'"):
        read_manifest(tmp_path)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=MANIFEST_NAME):
        read_manifest(tmp_path)
