"""The deployments that a config leads to, and the configs that are refused before anything starts."""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.serving import Embeddings, Engines, Filter, Filters, Serving
from engine.models.identity import ModelError
from engine.plan.machine import Machine
from engine.registry.registry import Registry
from engine.registry.store import RegistryError
from serve.app import ServeError, application, build, check, prepare
from serve.embedder import EmbeddingsError
from serve.filters import FilterError
from serve.slots import Slots, SlotsError, SlotsFile
from tests.support.server_process import LINE, make_home

pytestmark = pytest.mark.slow

GIB = 2**30
HERE = Machine(num_cpus=2, memory=16 * GIB, disk=100 * GIB, num_gpus=0, gpu=None)
SERVING = Serving(line=LINE)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("home")
    make_home(made, 1)
    return made


def options(serving: Serving, home: Path, machine: Machine) -> dict[str, Any]:
    """The gateway's deployment and all that are bound to it, by name."""
    gateway = application(serving, home, machine)._bound_deployment
    engines = gateway.init_args[2]
    found = {app._bound_deployment.name: app._bound_deployment for app in engines.values()}
    return found | {gateway.name: gateway}


def test_two_engines_on_a_cpu_reserve_no_core(home: Path) -> None:
    made = options(SERVING, home, HERE)
    assert set(made) == {"Engine-a", "Engine-b", "Gateway"}
    engine = made["Engine-a"]
    assert engine.ray_actor_options["num_cpus"] == 0 and engine.num_replicas == 1
    assert engine._replica_config.placement_group_bundles == [{"CPU": 0.001}]


@pytest.mark.parametrize(("compiles", "num_gpus"), [(False, 0), (True, 0), (False, 1)])
def test_an_engine_that_compiles_nothing_has_no_compiler(home: Path, compiles: bool, num_gpus: int) -> None:
    serving = changed(SERVING, engines=Engines(compile=compiles))
    engine = options(serving, home, replace(HERE, num_gpus=num_gpus))["Engine-a"]
    variables = engine.ray_actor_options["runtime_env"]["env_vars"]
    assert ("TORCHDYNAMO_DISABLE" in variables) == (not compiles and not num_gpus)


def test_replicas_and_gpus_follow_the_config(home: Path) -> None:
    engines = Engines(resident=1, replicas=2, max_replicas=4, tensor_parallel=2, gpu_memory=0.5)
    made = options(changed(SERVING, engines=engines), home, replace(HERE, num_gpus=8))
    assert set(made) == {"Engine-a", "Gateway"}
    engine = made["Engine-a"]
    assert engine._replica_config.placement_group_bundles == [{"GPU": 1.0}, {"GPU": 1.0}]
    scaling = engine._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (2, 4)


def test_an_embedding_model_is_deployed_only_where_one_is_configured(home: Path) -> None:
    assert application(SERVING, home, HERE)._bound_deployment.init_args[5] is None
    serving = changed(SERVING, embeddings=Embeddings())
    check(serving, home, HERE)
    embedder = application(serving, home, HERE)._bound_deployment.init_args[5]._bound_deployment
    assert embedder.init_args == ("all-MiniLM-L6-v2",) and embedder.ray_actor_options["num_cpus"] == 0


def test_what_is_deployed_leaves_the_state_alone_that_a_running_server_may_own(home: Path) -> None:
    file = SlotsFile(home, LINE)
    slots = Slots(line=LINE, epoch=1, active="b", versions={"a": None, "b": "freed since"})
    file.write(slots)
    application(changed(SERVING, engines=Engines(resident=1)), home, HERE)
    assert file.read() == slots
    file.path.write_text("{")
    with pytest.raises(SlotsError, match="is damaged: delete it"):
        check(SERVING, home, HERE)
    file.path.unlink()


@pytest.mark.parametrize(("has_bf16", "dtype"), [(False, "float32"), (True, "bfloat16")])
def test_serve_deploy_decides_what_the_config_leaves_to_the_machine(
    home: Path, monkeypatch: pytest.MonkeyPatch, has_bf16: bool, dtype: str
) -> None:
    monkeypatch.setenv("RATCHET_HOME", str(home))
    here = replace(HERE, cpu_bf16=has_bf16)
    monkeypatch.setattr("engine.plan.machine.detect_machine", lambda home: here)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    serving = build({"line": LINE})._bound_deployment.init_args[0]
    assert serving.engines.dtype == dtype


def test_what_cannot_be_served_is_refused(home: Path) -> None:
    with pytest.raises(RegistryError, match="no line test/none in the registry"):
        check(Serving(line="test/none"), home, HERE)
    with pytest.raises(ServeError, match=r"2 x 1 engines need .* GiB are free: set engines.resident=1"):
        check(SERVING, home, replace(HERE, memory=2 * GIB))
    with pytest.raises(ServeError, match=r"2 x 6 engines need .* GiB are free: set engines.resident=1"):
        check(changed(SERVING, engines=Engines(max_replicas=6)), home, HERE)
    one_gpu = replace(HERE, num_gpus=1)
    check(SERVING, home, one_gpu)
    with pytest.raises(
        ServeError, match="2 x 2 engines need 4 shares of 0.4 GPU, but only 2 are available: set"
    ):
        check(changed(SERVING, engines=Engines(replicas=2)), home, one_gpu)
    with pytest.raises(
        ServeError, match="1 x 2 engines need 4 shares of 1 GPU, but only 3 are available: lower"
    ):
        both = Engines(resident=1, replicas=2, tensor_parallel=2)
        check(changed(SERVING, engines=both), home, replace(HERE, num_gpus=3))
    with pytest.raises(ServeError, match="tensor_parallel=2 needs as many GPUs, but this machine has 0"):
        check(changed(SERVING, engines=Engines(tensor_parallel=2)), home, HERE)
    with pytest.raises(
        ModelError, match="max_model_len must be at most 2048, the model's own context, got 4096: see max_pos"
    ):
        check(changed(SERVING, engines=Engines(max_model_len=4096)), home, HERE)
    with pytest.raises(EmbeddingsError, match="must be all-MiniLM-L6-v2 or the directory of a sentence-"):
        check(changed(SERVING, embeddings=Embeddings(model=str(home))), home, HERE)
    with pytest.raises(FilterError, match="must be regex, length or the path"):
        check(changed(SERVING, filters=Filters(input=[Filter(name="none")])), home, HERE)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=f"cannot listen on http://127.0.0.1:{port}: Address already"):
            prepare(changed(SERVING, port=port), home, HERE)


def test_an_ipv6_address_stands_in_brackets(home: Path) -> None:
    try:
        taken = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    serving = changed(SERVING, host="::1", port=taken.getsockname()[1])
    with taken, pytest.raises(ServeError, match=rf"cannot listen on http://\[::1\]:{serving.port}: Address"):
        prepare(serving, home, HERE)
    prepare(serving, home, HERE)


def test_a_champion_that_is_damaged_is_not_served(tmp_path: Path) -> None:
    (champion,) = make_home(tmp_path, 1)
    weights = Registry(tmp_path).path(champion) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(RegistryError, match="does not match the manifest"):
        check(SERVING, tmp_path, HERE)


def changed(serving: Serving, **changes: Any) -> Serving:
    return serving.model_copy(update=changes)
