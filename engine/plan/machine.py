"""What this machine has that a run may use: cores, memory, disk, GPUs. It reads and starts nothing.

`ratchet doctor` shows it.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")
_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}
"""Flags of CPUs that multiply bfloat16: those of x86, and that of ARM."""
MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    name: str
    memory: int
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine, or all nodes of a cluster taken together; None means unknown."""

    num_cpus: int
    memory: int | None
    """Free bytes."""
    disk: int | None
    """Free bytes on the disk of RATCHET_HOME."""
    num_gpus: int
    gpu: Gpu | None
    """The GPU with the least memory; the others count as if they had no more."""
    node_cpus: tuple[int, ...] = ()
    """Cores of each node of a cluster; empty for one machine."""
    node_gpus: tuple[int, ...] = ()
    """GPUs of the same nodes."""
    cpu_bf16: bool = True
    """Whether the CPU has instructions for bfloat16; a cluster's are taken to be like this one's."""


def detect_machine(home: Path) -> Machine:
    """The part of this machine that this process may use (affinity, cgroup limits, CUDA_VISIBLE_DEVICES)."""
    gpus = detect_gpus() if cuda_installed() else []
    return Machine(
        num_cpus=_num_cpus(),
        memory=_free_memory(),
        disk=free_disk(home),
        num_gpus=len(gpus),
        gpu=min(gpus, key=lambda gpu: gpu.memory, default=None),
        cpu_bf16=detect_bf16(),
    )


def detect_bf16() -> bool:
    """Whether this machine's CPU has instructions for products of bfloat16."""
    lines = _read(CPUINFO).splitlines()
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return bool(_BF16 & set(flags.partition(":")[2].split()))


def cuda_installed() -> bool:
    """Whether the installed torch can use a GPU; the CPU build cannot, whatever the machine has."""
    try:
        return "+cpu" not in metadata.version("torch")
    except metadata.PackageNotFoundError:
        return False


def free_disk(home: Path) -> int:
    """Free bytes on the file system that holds `home`, which need not exist yet."""
    existing = home.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def detect_gpus() -> list[Gpu]:
    """GPUs that the NVIDIA driver shows; none where there is no driver."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except subprocess.TimeoutExpired:
        return []
    if done.returncode:
        return []
    gpus = []
    for line in done.stdout.splitlines():
        name, _, mebibytes = line.rpartition(",")
        if mebibytes.strip().isdigit():
            gpus.append(Gpu(name=name.strip(), memory=int(mebibytes) << 20))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return gpus if visible is None else gpus[: len([entry for entry in visible.split(",") if entry.strip()])]


def _num_cpus() -> int:
    cores = len(os.sched_getaffinity(0))
    fields = _read(CGROUP / "cpu.max").split()
    if len(fields) == 2 and fields[0] != "max":
        cores = min(cores, max(1, int(fields[0]) // int(fields[1])))
    return cores


def _free_memory() -> int:
    entries = dict(line.split(":", 1) for line in _read(MEMINFO).splitlines())
    free = int(entries["MemAvailable"].split()[0]) << 10
    limit, used = _read(CGROUP / "memory.max").strip(), _read(CGROUP / "memory.current").strip()
    if limit.isdigit() and used.isdigit():
        # Page cache counts as used there, but gives way when memory is needed.
        stat = dict(line.split() for line in _read(CGROUP / "memory.stat").splitlines())
        free = min(free, int(limit) - int(used) + int(stat.get("inactive_file", 0)))
    return free


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""
