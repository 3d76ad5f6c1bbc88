"""Images, `ray up`, Slurm and Prometheus: the tools accept their files, which agree with the code."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from cluster.connect import _ENVIRONMENT, OBJECT_STORE

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
BIN = Path(sys.executable).parent
ELSEWHERE = {"serve.yaml", "monitoring/alerts.yml", "monitoring/grafana.json"}
"""Files that `test_manifests` and `test_metrics` check; the former also checks all of `kuberay/`."""
HERE = {"Dockerfile.cpu", "Dockerfile.gpu", "ray-up.yaml", "slurm.sbatch", "monitoring/prometheus.yml"}
SETS = pytest.mark.parametrize("name", ["cpu", "gpu"])


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def dockerfile(name: str) -> str:
    return (CLUSTER / f"Dockerfile.{name}").read_text()


def environment(name: str) -> dict[str, str]:
    """The variables that an image sets by ENV."""
    text = dockerfile(name).replace("\\\n", " ")
    lines = re.findall(r"^ENV (.+)$", text, re.M)
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def test_nothing_is_left_unchecked() -> None:
    files = {file.relative_to(CLUSTER).as_posix() for file in CLUSTER.rglob("*") if file.is_file()}
    others = {file for file in files if not re.search(r"^kuberay/|\.(py|pyc|lock|md)$", file)}
    assert others == HERE | ELSEWHERE


@pytest.mark.slow
@SETS
def test_an_image_installs_the_lock(name: str) -> None:
    run(BIN / "hadolint", f"cluster/Dockerfile.{name}")
    text = dockerfile(name)
    assert re.search(r"^FROM python:3\.12-", text, re.M)
    assert f"RUN make SET={name} .venv/.locked-{name}\n" in text
    (source, target) = re.findall(r"^COPY (cluster/\S+) (\S+)$", text, re.M)[0]
    assert (ROOT / source).is_file() and target == "cluster/"
    # OTHER is the set that .venv has here, and an image has none.
    steps = run("make", "--dry-run", "--always-make", f"SET={name}", "OTHER=", f".venv/.locked-{name}")
    installs = [line for line in steps.splitlines() if " pip install " in line]
    assert installs and all("--require-hashes" in line and "--no-deps" in line for line in installs)
    assert f"-r {source}" in steps


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "home"), [("", f"{ROOT}/.ratchet"), (" ", f"{ROOT}/.ratchet"), ("/a b/ü", r"/a\ b/ü")]
)
def test_make_finds_the_model_where_the_program_does(
    said: str, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a file of variables gives RATCHET_HOME no value, and where there is a blank in its path."""
    monkeypatch.setenv("RATCHET_HOME", said)
    (found,) = re.findall(
        "^MODEL := (.*)/models/", run("make", "--dry-run", "--print-data-base", "setup"), re.M
    )
    assert found == home


@SETS
def test_an_image_sets_the_variables_of_a_driver(name: str) -> None:
    there = environment(name)
    assert there.items() >= _ENVIRONMENT.items()
    assert (there["HF_HUB_OFFLINE"], there["RAY_AUTH_MODE"]) == ("1", "token")
    assert there == environment("gpu")
    text = dockerfile(name)
    assert f"VOLUME {there['RATCHET_HOME']}\n" in text and text.index("USER ") > text.rindex("RUN ")


def test_one_set_is_not_installed_over_the_other(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".locked-cpu").touch()
    here = ("make", "--dry-run", "-C", tmp_path, "-f", ROOT / "Makefile", "SET=gpu")
    done = subprocess.run([*here, "setup"], capture_output=True, text=True)
    assert done.returncode == 2 and "has the cpu set, and this machine takes the gpu set" in done.stderr
    run(*here, "clean")


def test_an_image_holds_all_sources() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")} - {"tests"}
    assert kept == {*packages, "ratchet.py", "Makefile", "README.md", "pyproject.toml"}


def test_ray_up() -> None:
    config = yaml.safe_load((CLUSTER / "ray-up.yaml").read_text())
    validate_config(prepare_config(config))
    for name in ("cpu", "gpu"):
        # The head runs in a container, from which it reaches the workers.
        assert re.search(r"install [^&]*\bopenssh-client\b[^&]*\brsync\b", dockerfile(name))
    base = yaml.safe_load((ROOT / "configs" / "cluster.yaml").read_text())["base"]
    text = (CLUSTER / "README.md").read_text()
    own = text[text.index("## Machines of your own") : text.index("## Slurm")]
    assert "HF_HUB_OFFLINE=0" in own and base["hub"] in own and base["revision"] in own
    gpu = (CLUSTER / "kuberay" / "rayjob.yaml").read_text()
    assert f"image: &image {config['docker']['image']}\n" in gpu
    home = environment("gpu")["RATCHET_HOME"]
    assert f"--volume=/srv/ratchet:{home}" in config["docker"]["run_options"]
    assert f"--env=RAY_AUTH_TOKEN_PATH={home}/ray-token" in config["docker"]["run_options"]
    starts = [config[f"{node}_start_ray_commands"][-1] for node in ("head", "worker")]
    assert all("""--resources='{"sampler": """ in start for start in starts)
    assert all(f"--object-store-memory={OBJECT_STORE} " in f"{start} " for start in starts)


def test_slurm() -> None:
    script = CLUSTER / "slurm.sbatch"
    run("bash", "-n", script)
    run(BIN / "shellcheck", script)
    assert f"--object-store-memory={OBJECT_STORE} " in script.read_text()


def test_prometheus_scrapes_what_exists() -> None:
    text = (CLUSTER / "monitoring" / "prometheus.yml").read_text()
    config = yaml.safe_load(text)
    for file in config["rule_files"]:
        rules = (CLUSTER / "monitoring" / file).read_text()
        jobs = {job["job_name"] for job in config["scrape_configs"]}
        assert set(re.findall(r'\bjob="(\w+)"', rules)) <= jobs
    assert not re.search(r"\b(credentials|password|bearer_token):", text), (
        "secrets belong in files of their own"
    )
    served = yaml.safe_load((CLUSTER / "serve.yaml").read_text())["http_options"]
    (gateway,) = [job for job in config["scrape_configs"] if job["job_name"] == "ratchet"]
    assert gateway["static_configs"] == [{"targets": [f"{served['host']}:{served['port']}"]}]


@pytest.mark.skipif(
    not shutil.which("promtool"), reason="needs promtool: on Debian, in the package prometheus"
)
def test_prometheus_accepts_its_files() -> None:
    run("promtool", "check", "config", "--syntax-only", CLUSTER / "monitoring" / "prometheus.yml")
    run("promtool", "check", "rules", CLUSTER / "monitoring" / "alerts.yml")
