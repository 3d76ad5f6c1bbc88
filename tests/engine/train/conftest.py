"""What tests of training share."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """These models are too small for two threads, and an engine may run beside."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def exact_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model kept in fp32, so that what was trained from it is saved as it is."""
    import torch
    from transformers import AutoModelForCausalLM

    target = tmp_path_factory.mktemp("exact") / "model"
    shutil.copytree(tiny_model, target)
    AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).save_pretrained(target)
    return target
