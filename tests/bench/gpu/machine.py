"""The GPU that the checks run on, and which packages are here beside those that are pinned.

It imports nothing heavy: whether torch can use the GPU is asked in a process of its own, which lets go of it.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import InvalidVersion

from engine.plan.machine import cuda_installed

LOCK = Path(__file__).parents[3] / "cluster" / "requirements-gpu.lock"
NAMED = ("torch", "vllm", "deepspeed", "ray", "transformers", "trl", "peft")
"""Packages whose versions are shown."""
_COLUMNS = "name,memory.total,memory.used,driver_version,compute_cap"
_TRY = "import torch; (torch.ones(8, device='cuda', dtype=torch.bfloat16) * 2).sum().item()"
_PEAKS = {
    r"B200": 2250e12,
    r"H[12]00 NVL": 835e12,
    r"H200|H100.*HBM3": 989e12,
    r"H100 PCIe": 756e12,
    r"A100": 312e12,
    r"L40S": 362e12,
    r"L40\b": 181e12,
    r"L4\b": 121e12,
    r"A30\b": 165e12,
    r"A10\b": 125e12,
    r"RTX 4090": 165e12,
}
"""Operations a second with dense bf16 matrices, by NVIDIA's data sheets."""


class NoGpu(Exception):
    """There is no GPU that can be used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """What nvidia-smi says of a GPU."""

    id: str
    """As CUDA_VISIBLE_DEVICES and nvidia-smi name it."""
    name: str
    memory: int
    """Bytes."""
    used: int
    """Bytes in use now, by whomever."""
    driver: str
    capability: str


def find_gpu() -> Gpu:
    """The first GPU that this process may use. Raises NoGpu."""
    gpu = seen_by_driver()
    if not cuda_installed():
        raise NoGpu(f"there is {gpu.name}, but the installed torch is a build for CPUs, or missing")
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TRY],
            env=os.environ | environment(gpu),
            capture_output=True,
            text=True,
            timeout=120,
        )
    except subprocess.TimeoutExpired:
        raise NoGpu(f"torch does not come to use {gpu.name} within two minutes") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise NoGpu(f"torch cannot use {gpu.name}: {reason}")
    return gpu


def seen_by_driver() -> Gpu:
    """The first GPU that CUDA_VISIBLE_DEVICES leaves, whether or not torch can use it. Raises NoGpu."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if visible in ("", "-1"):
        raise NoGpu("CUDA_VISIBLE_DEVICES hides every GPU")
    if shutil.which("nvidia-smi") is None:
        raise NoGpu("no GPU: there is no nvidia-smi here")
    said = _ask_driver(visible, _COLUMNS)
    fields = [field.strip() for field in said.split(",")]
    if not re.fullmatch(r"[^,]+, *\d+, *\d+, *[^,]+, *\d+\.\d+", said):
        raise NoGpu(f"nvidia-smi does not tell what a GPU has: {said}")
    name, memory, used, driver, capability = fields
    return Gpu(
        id=visible,
        name=name,
        memory=int(memory) << 20,
        used=int(used) << 20,
        driver=driver,
        capability=capability,
    )


def memory_used() -> int:
    """Bytes in use on the first visible GPU, by whomever. Raises NoGpu."""
    return int(_ask_driver(os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0], "memory.used")) << 20


def _ask_driver(gpu: str, columns: str) -> str:
    command = ["nvidia-smi", "-i", gpu, f"--query-gpu={columns}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        raise NoGpu("no GPU: nvidia-smi does not answer") from None
    said = (done.stdout.strip() or done.stderr.strip()).splitlines() or ["nothing"]
    if done.returncode:
        raise NoGpu(f"no GPU: nvidia-smi says: {said[0]}")
    return said[0]


def environment(gpu: Gpu) -> dict[str, str]:
    """Variables that let a process see this GPU alone; nvidia-smi counts by PCI bus, CUDA by speed."""
    return {"CUDA_VISIBLE_DEVICES": gpu.id, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def peak_of(name: str) -> float | None:
    """The most operations a second of a GPU, with dense bf16 matrices; None of one that is not listed."""
    return next((peak for pattern, peak in _PEAKS.items() if re.search(pattern, name)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A package as it is here and as it is pinned."""

    package: str
    installed: str | None
    pinned: str

    @property
    def as_pinned(self) -> bool:
        """Whether it is the pinned version; builds of one version, such as ``2.13.0+cu130``, are the same."""
        if self.installed is None:
            return False
        try:
            pin = Requirement(f"{self.package}=={self.pinned}").specifier
            return pin.contains(self.installed, prereleases=True)
        except InvalidVersion:
            return False

    def __str__(self) -> str:
        if self.installed is None:
            return f"missing, pinned is {self.pinned}"
        if self.as_pinned:
            return (
                f"{self.installed}, as pinned{', but a build for CPUs' if '+cpu' in self.installed else ''}"
            )
        return f"{self.installed}, pinned is {self.pinned}: another version, tried all the same"


def versions(lock: Path = LOCK) -> list[Version]:
    """The packages of `NAMED`, as installed and as the lock for GPUs pins them."""
    pins = dict(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", lock.read_text(), re.MULTILINE))
    return [Version(package=name, installed=installed(name), pinned=pins[name]) for name in NAMED]


def installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
