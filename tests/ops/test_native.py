"""The native library: each op has its reference, fake and kernels; it fits any torch; its absence does no harm."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from voiceclone import ops
from voiceclone.ops import _native, packing, reference

ROOT = Path(__file__).parents[2]
TABLE = dict(re.findall(r'm\.def\("(\w+)(\([^"]*)"\)', (ROOT / "csrc" / "ops.cpp").read_text("utf-8")))
#: Ops on tensors; the others report about the library itself.
OPS = sorted(name for name, schema in TABLE.items() if "Tensor" in schema)

pytestmark = pytest.mark.skipif(not ops.describe().loaded, reason="native kernels were not built")


def lengths(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int32)


def packed(*layers: packing.Layer) -> tuple[torch.Tensor, list[int]]:
    made = packing.pack_layers(layers)
    return made.blob, made.spec


#: Arguments that torch's own checks of an op are run with; a new op must add its own here.
SAMPLES: dict[str, list[tuple[Any, ...]]] = {
    "mas": [
        (torch.randn(2, 9, 4), lengths(9, 6), lengths(4, 2)),
        (torch.randn(2, 4, 9).transpose(1, 2), lengths(9, 6), lengths(4, 2)),
        (torch.randn(1, 3, 8), lengths(3), lengths(8)),
        (torch.randn(0, 3, 8), lengths(), lengths()),
    ],
    "conv1d": [
        (torch.randn(2, 9, 5), *packed(packing.Layer(torch.randn(4, 5, 3), None)), 4, 0.1, 0, False),
        (torch.randn(1, 0, 5), *packed(packing.Layer(torch.randn(4, 5, 3), None, block=4)), 4, 1.0, 7, True),
    ],
    "upsample": [(torch.randn(2, 9, 5), *packed(packing.Layer(torch.randn(12, 5, 3), None)), 3, 4, 0.1)],
    "resblock": [
        (torch.randn(2, 9, 4), *packed(*[packing.Layer(torch.randn(4, 4, 3), None)] * 4), [2, 2], True, 0.1, [0, 0, 0]),
        (torch.randn(2, 9, 4), *packed(packing.Layer(torch.randn(4, 4, 3), None)), [1], False, 0.1, [5, 2, 3]),
    ],
    "snake": [(torch.randn(2, 9, 4), torch.rand(4), torch.rand(4), torch.rand(12), torch.rand(12))],
}


def test_the_table_is_read() -> None:
    assert "mas" in OPS
    registered = torch._C._dispatch_get_all_op_names()
    assert {f"voiceclone::{name}" for name in TABLE} == {name for name in registered if name.startswith("voiceclone::")}


@pytest.mark.parametrize("name", OPS)
def test_an_op_has_a_reference(name: str) -> None:
    assert callable(getattr(reference, name))


@pytest.mark.parametrize("name", OPS)
def test_an_op_passes_opcheck(name: str) -> None:
    for arguments in SAMPLES[name]:
        torch.library.opcheck(getattr(torch.ops.voiceclone, name).default, arguments)


@pytest.mark.parametrize("name", OPS)
def test_an_op_has_its_kernels(name: str) -> None:
    """CUDA too where nvcc is, GPU or not: the registration is made when the library is opened."""
    registered = torch._C._dispatch_has_kernel_for_dispatch_key
    assert registered(f"voiceclone::{name}", "CPU")
    if shutil.which("nvcc") or ops.describe().cuda:
        assert registered(f"voiceclone::{name}", "CUDA")


def test_the_cuda_stream_is_seen_where_torch_has_cuda() -> None:
    """Fails where the linker dropped libtorch.so, which brings libtorch_cuda's symbols."""
    assert ops.describe().cuda_stream == (torch.version.cuda is not None)


def test_a_wrong_tensor_is_named_without_a_source_path() -> None:
    value = torch.randn(2, 9, 4)
    with pytest.raises(RuntimeError, match="mas: frames must be contiguous int32 of shape") as caught:
        torch.ops.voiceclone.mas(value, torch.zeros(2), lengths(1, 1))
    assert "csrc" not in str(caught.value)


@pytest.mark.skipif(shutil.which("readelf") is None, reason="needs binutils")
def test_nothing_ties_the_library_to_one_cuda_or_python() -> None:
    elf = subprocess.run(["readelf", "-dW", _native.LIBRARY], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(\S+)\]", elf))
    assert "libtorch.so" in needed
    assert not {name for name in needed if "cuda" in name or "python" in name}
    assert "RUNPATH" not in elf
    assert "RPATH" not in elf
    symbols = subprocess.run(["readelf", "-sDW", _native.LIBRARY], capture_output=True, text=True, check=True).stdout
    assert re.search(r"WEAK\s+\w+\s+UND aoti_torch_get_current_cuda_stream", symbols)
    assert not re.findall(r"UND (?:_ZN[\w]*(?:2at|3c10|5torch)\d|Py)\w*", symbols)


def test_missing_kernels_are_told_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_native, "LIBRARY", tmp_path / "_C.abi3.so")
    with pytest.warns(RuntimeWarning, match=r"make setup") as caught:
        status = _native.load()
    assert len(caught) == 1
    assert "never built" in status.reason
    assert str(tmp_path) not in str(caught[0].message)
    (tmp_path / "_C.abi3.so").write_bytes(b"not a library")
    with pytest.warns(RuntimeWarning, match="do not fit torch"):
        _native.load()


def test_kernels_can_be_switched_off_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICECLONE_NATIVE", "off")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert str(_native.load()) == "native kernels: none (switched off by VOICECLONE_NATIVE)"


def test_kernels_cannot_see_torch() -> None:
    """The rule that keeps .cu files at a second each and lets an engine link them without torch."""
    for path in (ROOT / "csrc").rglob("*"):
        if path.suffix in (".cpp", ".cu", ".h", ".cuh") and not path.stem.endswith("_op") and path.stem != "ops":
            text = path.read_text("utf-8")
            assert path.name == "torch_stable.h" or "torch" not in "".join(re.findall(r"#include.*", text)), path


def test_ops_import_little() -> None:
    code = "import sys, voiceclone.ops; print([m for m in ('transformers', 'grpc', 'torchaudio') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
