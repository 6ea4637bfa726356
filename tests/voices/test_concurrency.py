"""Many writers at once, and kill -9: what was acknowledged is whole, what was not is not there."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from voiceclone.errors import AlreadyExists
from voiceclone.voices import Consent, Voice, VoiceStore

#: Enrols voices PREFIX0, PREFIX1, ... of the recordings given; prints each name once it is acknowledged.
ENROL = """
import sys
from pathlib import Path
from voiceclone.voices import Consent, ConsentMethod, VoiceStore

folder, prefix, count, *recordings = sys.argv[1:]
store = VoiceStore(directory=Path(folder))
consent = Consent("A Speaker", ConsentMethod.SYNTHETIC_SPEAKER)
print("open", flush=True)
for index in range(int(count)):
    data = bytearray(Path(recordings[index % len(recordings)]).read_bytes())
    data[-2:] = (index % 100).to_bytes(2, "little")
    sample = store.add_sample(bytes(data), transcript=prefix)
    voice = store.create_voice(f"{prefix}{index}", model="m", samples=[sample.name], consent=consent,
                               labels={"by": prefix}, conditioning={("m", "1"): b"c" * 50000})
    print(voice.name, flush=True)
"""


def assert_whole(store: VoiceStore, voice: Voice) -> None:
    references = store.references(voice)
    assert len(references) == len(voice.samples) == 1
    assert len(references[0].samples) == store.get_sample(voice.samples[0]).sample_count
    assert store.recording(voice.samples[0])[:4] == b"RIFF"
    assert store.get_conditioning(voice, "m", "1")


def every_voice(store: VoiceStore) -> list[Voice]:
    found, token = store.list_voices(1000)
    while token:
        page, token = store.list_voices(1000, token)
        found += page
    return found


def test_threads_enrol_together(store: VoiceStore, record: Any, consent: Consent) -> None:
    errors: list[Exception] = []
    taken: list[str] = []

    def enrol(thread: int) -> None:
        try:
            for index in range(4):
                sample = store.add_sample(record(index))  # the same recordings in every thread
                common: Any = {"model": "m", "samples": [sample.name], "consent": consent}
                store.create_voice(f"t{thread}-{index}", **common, conditioning={("m", "1"): b"x"})
                try:
                    store.create_voice(f"contested-{index}", **common, conditioning={("m", "1"): b"x"})
                    taken.append(f"contested-{index}")
                except AlreadyExists:
                    continue
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=enrol, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(taken) == [f"contested-{index}" for index in range(4)]
    voices = every_voice(store)
    assert len(voices) == 8 * 4 + 4
    for voice in voices:
        assert_whole(store, voice)


def test_one_update_of_many_wins_each_etag(store: VoiceStore, record: Any, consent: Consent) -> None:
    sample = store.add_sample(record())
    store.create_voice("ann", model="m", samples=[sample.name], consent=consent, labels={"n": "0"})

    def count() -> None:
        for _ in range(5):
            while True:
                voice = store.get_voice("voices/ann")
                try:
                    store.update_voice(voice.name, {"labels": {"n": str(int(voice.labels["n"]) + 1)}}, voice.etag)
                    break
                except Exception:
                    continue

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get_voice("voices/ann").labels["n"] == "20"


@pytest.fixture
def recordings(tmp_path: Path, record: Any) -> list[str]:
    paths = [tmp_path / f"{seed}.wav" for seed in range(3)]
    for seed, path in enumerate(paths):
        path.write_bytes(record(seed, seconds=1.0, rate=8000))
    return [str(path) for path in paths]


def start(folder: Path, prefix: str, count: int, recordings: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ENROL, str(folder), prefix, str(count), *recordings]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_enrol_together(tmp_path: Path, recordings: list[str]) -> None:
    folder = tmp_path / "store"  # not made yet: all of them create it
    children = [start(folder, prefix, 6, recordings) for prefix in "abcd"]
    acknowledged = [line for child in children for line in child.communicate()[0].split() if line != "open"]
    assert [child.returncode for child in children] == [0] * 4
    store = VoiceStore(directory=folder)
    voices = every_voice(store)
    assert sorted(voice.name for voice in voices) == sorted(acknowledged)
    assert len(voices) == 24
    for voice in voices:
        assert_whole(store, voice)


@pytest.mark.parametrize("lines", [0, 1, 4, 9])
def test_kill_9_loses_nothing_acknowledged_and_leaves_nothing_half(
    tmp_path: Path, recordings: list[str], lines: int
) -> None:
    folder = tmp_path / "store"
    child = start(folder, "v", 10_000, recordings)
    assert child.stdout is not None
    acknowledged = [child.stdout.readline().strip() for _ in range(1 + lines)]
    child.send_signal(signal.SIGKILL)
    acknowledged += child.stdout.read().split()
    child.wait()
    child.stdout.close()
    store = VoiceStore(directory=folder)
    voices = {voice.name: voice for voice in every_voice(store)}
    assert set(acknowledged) - {"open"} <= set(voices)
    assert len(voices) <= len(acknowledged)  # at most one was committed and not yet printed
    for voice in voices.values():
        assert_whole(store, voice)
    store.collect_garbage(older_than=-1)
    named = {store.get_sample(name).sha256 for voice in voices.values() for name in voice.samples}
    left = {path.name for path in (folder / "samples").glob("??/*")}
    assert {name for name in left if name.startswith(".part-")} == set()
    assert {f"{sha256}{suffix}" for sha256 in named for suffix in (".bin", ".npy")} <= left
    command = start(folder, "after", 1, recordings)
    assert command.communicate()[0].split() == ["open", "voices/after0"]


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
def test_a_forked_child_uses_the_store(store: VoiceStore, record: Any, consent: Consent) -> None:
    import multiprocessing

    sample = store.add_sample(record())
    context = multiprocessing.get_context("fork")

    def enrol(index: int) -> None:
        store.create_voice(f"child-{index}", model="m", samples=[sample.name], consent=consent)

    children = [context.Process(target=enrol, args=(index,)) for index in range(3)]
    for child in children:
        child.start()
    store.create_voice("parent", model="m", samples=[sample.name], consent=consent)
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert len(every_voice(store)) == 4
