"""Models of the Hugging Face hub, downloaded into this user's folder; HF_ENDPOINT names another hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from voiceclone.errors import InvalidRequest, ModelFilesInvalid, StoreError, describe
from voiceclone.models.store import data_home

#: What may belong to a model that is spoken; training states and other runtimes' exports stay there.
_WANTED = (".safetensors", ".bin", ".pth", ".pt", ".ckpt", ".tar", ".json", ".txt", ".model", ".yaml")
_UNWANTED = re.compile(
    r"(?i)(^|/)(D|DUR)[_.]\d|optimi[sz]er|training_args|scheduler|(^|/)(tf_model|flax_model|rust_model)"
)
_REFERENCE = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A repository's files in ``path``; ``revision`` is the commit, ``licence`` what its card says."""

    path: Path
    revision: str
    licence: str


def download(reference: str, folder: Path | None = None) -> Fetched:
    """Bring the weights and configurations of ``org/name`` or ``org/name@revision`` here, once.

    Raises InvalidRequest for something else, ModelFilesInvalid for a repository that is not there, closed or without
    weights, StoreError where the hub cannot be reached.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise InvalidRequest(f"hf:{reference} is no repository.", field="source", hint="Write hf:org/name.")
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    repository = match["repository"]
    try:
        info = HfApi().model_info(repository, revision=match["revision"])
        commit = str(info.sha or match["revision"] or "")
        names = _chosen([item.rfilename for item in info.siblings or ()])
        if not names:
            raise ModelFilesInvalid(f"hf:{repository} holds no weights that could be read here.")
        target = (folder or data_home() / "hub") / repository.replace("/", "--") / commit[:12]
        snapshot_download(repository, revision=commit or None, local_dir=target, allow_patterns=names)
    except GatedRepoError as error:
        raise ModelFilesInvalid(
            f"hf:{repository} is closed to strangers.", hint="Accept its terms on the hub and `hf auth login`."
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ModelFilesInvalid(
            f"hf:{reference} is not on the hub, or not for you.", hint="Is the name right?"
        ) from error
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        raise StoreError(f"hf:{repository} cannot be downloaded: {describe(error)[:200]}") from error
    licence = getattr(info.card_data, "license", None) or ""
    return Fetched(target, commit[:12], str(licence))


def _chosen(names: Sequence[str]) -> list[str]:
    """The files of a repository that a backend may read; pickles only where there are no safetensors."""
    kept = [name for name in names if PurePosixPath(name).suffix in _WANTED and not _UNWANTED.search(name)]
    weights = [name for name in kept if PurePosixPath(name).suffix not in (".json", ".txt", ".model", ".yaml")]
    if any(name.endswith(".safetensors") for name in weights):
        kept = [name for name in kept if name not in weights or name.endswith(".safetensors")]
    return kept if weights else []
