"""A view of a model's directory: links to the files that make the model, and to nothing else.

Engines and trainers choose among what lies in a directory, each by rules of its own: transformers takes a
whole model before its shards, and vLLM takes Mistral's consolidated weights before both. In a view they find
the same ones. It holds no code either, and nothing that the registry would not keep.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from engine.disk.files import make_dirs
from engine.models.check import check_model
from engine.models.identity import ALLOWED_SUFFIXES, INDEX, WEIGHTS, ModelError, weight_files

_OF_OTHERS = ("params.json", "tekken.json")
"""Mistral's own config and tokenizer, which some packages would read instead of the others."""


def view_of(model: Path, at: Path) -> Path:
    """The directory itself where it holds nothing but the model, else a view of it in `at`/models/views.

    What is no model is left as it is, for `check_model` to refuse. Raises ModelError for a model that cannot
    be used.
    """
    try:
        names = _files_of(model)
        if not names or names == sorted(entry.name for entry in model.iterdir()):
            return model
    except (ModelError, OSError):
        return model
    check_model(model)
    digest = hashlib.sha256("\n".join([str(model), *names]).encode()).hexdigest()[:12]
    view = at / "models" / "views" / f"{model.name}-{digest}"
    if not view.is_dir():
        make_dirs(view.parent)
        staging = Path(tempfile.mkdtemp(prefix=".", dir=view.parent))
        for name in names:
            (staging / name).symlink_to(model / name)
        try:
            os.rename(staging, view)
        except OSError:
            shutil.rmtree(staging)
            if not view.is_dir():  # else another process has made it meanwhile
                raise
    return view


def _files_of(model: Path) -> list[str]:
    """The names of the files that make a model; empty where a directory has no weights."""
    weights = weight_files(model)
    return sorted(entry.name for entry in model.iterdir() if weights and _belongs(entry, weights))


def _belongs(entry: Path, weights: list[Path]) -> bool:
    if entry.suffix == WEIGHTS:
        return entry in weights
    other = entry.name in _OF_OTHERS or (entry.name != INDEX and entry.name.endswith(f"{WEIGHTS}.index.json"))
    return entry.is_file() and entry.suffix in ALLOWED_SUFFIXES and not other
