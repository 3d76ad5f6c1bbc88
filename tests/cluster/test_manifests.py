"""KubeRay's manifests match their schemas, and agree with each other, the images and the code.

`tests/support/kuberay.json` is older than the operator that the manifests need; SINCE has the newer fields.
"""

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator
from ray.autoscaler._private.kuberay.autoscaling_config import _generate_available_node_types_from_ray_cr_spec
from ray.serve.schema import ServeDeploySchema
from referencing import Registry, Resource

from cluster.connect import OBJECT_STORE
from configs.load import load, validate
from configs.serving import Serving
from engine.plan.machine import Machine
from engine.plan.plan import make_plan

ROOT = Path(__file__).parents[2]
KUBERAY = ROOT / "cluster" / "kuberay"
FILES = [*sorted(KUBERAY.glob("*.yaml")), KUBERAY / "token.yaml.in"]
ALL = [document for file in FILES for document in yaml.safe_load_all(file.read_text())]
OF_RAY = [document for document in ALL if document["apiVersion"] == "ray.io/v1"]
CLUSTER = {"RayJob": "rayClusterSpec", "RayService": "rayClusterConfig"}
KUBERNETES = "1.37"
# These are from KubeRay's API reference (1.6); its schema was not available.
SINCE: dict[str, dict[str, Any]] = {
    "RayClusterSpec": {
        "authOptions": {
            "type": "object",
            "properties": {"mode": {"enum": ["token", "disabled"]}, "secretName": {"type": "string"}},
        }
    },
    "RayJobSpec": {"backoffLimit": {"type": "integer", "minimum": 0}},
    "RayServiceSpec": {
        "upgradeStrategy": {
            "type": "object",
            "properties": {"type": {"enum": ["NewCluster", "NewClusterWithIncrementalUpgrade", "None"]}},
        }
    },
}


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = [document for document in ALL if document["kind"] == kind]
    return found


def name_of(document: dict[str, Any]) -> str:
    return f"{document['kind']}-{document['metadata']['name']}"


def cluster_of(document: dict[str, Any]) -> dict[str, Any]:
    return document["spec"][CLUSTER[document["kind"]]] if document["kind"] in CLUSTER else document["spec"]


def templates(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    """The templates of all pods, the head's first."""
    return [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def close(schema: Any) -> None:
    """Make the schema refuse names that it does not define, such as mistyped ones."""
    for inner in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(inner, dict | list):
            close(inner)
    if isinstance(schema, dict) and isinstance(schema.get("properties"), dict) and "type" in schema:
        schema.setdefault("additionalProperties", False)


@cache
def definitions() -> Registry:
    folder = resources.files(kubernetes_validate) / "kubernetes-json-schema" / f"v{KUBERNETES}.0-local-strict"
    return Resource.from_contents(json.loads((folder / "_definitions.json").read_text())) @ Registry()


def kuberay_validator(kind: str) -> Draft202012Validator:
    schema = json.loads((ROOT / "tests" / "support" / "kuberay.json").read_text())
    for spec, fields in SINCE.items():
        assert not set(fields) & set(schema["$defs"][spec]["properties"]), "the schema has this field now"
        schema["$defs"][spec]["properties"] |= fields
    close(schema["$defs"])
    meta = "/api/_definitions.json#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    schema |= {
        "properties": {
            "apiVersion": {"const": "ray.io/v1"},
            "kind": {"const": kind},
            "metadata": {"$ref": meta},
            "spec": {"$ref": f"#/$defs/{kind}Spec"},
        },
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
    }
    return Draft202012Validator(schema, registry=definitions())


@pytest.mark.parametrize("document", ALL, ids=name_of)
def test_schema(document: dict[str, Any]) -> None:
    if document in OF_RAY:
        kuberay_validator(document["kind"]).validate(document)
    else:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_a_mistyped_field_is_refused() -> None:
    """The validators look into every level of a manifest."""
    for spoil in (
        lambda document: cluster_of(document).update(authOption={}),
        lambda document: cluster_of(document)["authOptions"].update(secret="x"),
        lambda document: cluster_of(document)["workerGroupSpecs"][0].update(replica=1),
        lambda document: templates(cluster_of(document))[0]["spec"]["containers"][0].update(images="x"),
        lambda document: templates(cluster_of(document))[1]["spec"].update(volumes={}),
    ):
        document = json.loads(json.dumps(of_kind("RayJob")))
        spoil(document)
        assert not kuberay_validator("RayJob").is_valid(document)


def test_files() -> None:
    assert set(FILES) == set(KUBERAY.iterdir())
    assert {document["kind"] for document in OF_RAY} == {"RayCluster", "RayJob", "RayService"}


def test_names() -> None:
    """KubeRay names services after clusters and services: a RayService and a RayCluster cannot share one."""
    names = [document["metadata"]["name"] for document in OF_RAY]
    assert len(set(names)) == len(names)


def test_the_secret_is_a_template() -> None:
    assert of_kind("Secret")["stringData"] == {"auth_token": "@TOKEN@"}
    applied = chain.from_iterable(yaml.safe_load_all(file.read_text()) for file in KUBERAY.glob("*.yaml"))
    assert "Secret" not in {document["kind"] for document in applied}, (
        "`kubectl apply` would use the placeholder as the token"
    )


@pytest.mark.parametrize("document", OF_RAY, ids=name_of)
def test_every_cluster_asks_for_the_token(document: dict[str, Any]) -> None:
    cluster = cluster_of(document)
    assert cluster["authOptions"] == {"mode": "token", "secretName": of_kind("Secret")["metadata"]["name"]}
    for lock in ("cpu", "gpu"):
        text = (ROOT / "cluster" / f"requirements-{lock}.lock").read_text()
        # Without `rayVersion` KubeRay takes no token.
        assert f"\nray=={cluster['rayVersion']} " in text


def ray_pods() -> Iterator[Any]:
    for document in OF_RAY:
        for template in templates(cluster_of(document)):
            yield pytest.param(
                template, id=f"{name_of(document)}-{template['spec']['containers'][0]['name']}"
            )


@pytest.mark.parametrize("template", list(ray_pods()))
def test_pods(template: dict[str, Any]) -> None:
    spec, (container,) = template["spec"], template["spec"]["containers"]
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version and re.fullmatch(rf"ratchet:{re.escape(version[1])}-(cpu|gpu)", container["image"])
    dockerfile = (ROOT / "cluster" / f"Dockerfile.{container['image'].rpartition('-')[2]}").read_text()

    user = spec["securityContext"]
    assert user["runAsNonRoot"] and f"USER {user['runAsUser']}:{user['runAsGroup']}" in dockerfile
    assert user["fsGroup"] == user["runAsGroup"], "the volume must be writable"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }

    # Ray reads its resources from the limits, and Kubernetes guarantees only the requests.
    limits = container["resources"]["limits"]
    assert limits == container["resources"]["requests"] and {"cpu", "memory"} <= set(limits)
    if "nvidia.com/gpu" in limits:
        assert container["image"].endswith("-gpu")

    selected = of_kind("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    assert template["metadata"]["labels"].items() >= selected.items(), "the policy must apply to it"
    (home,) = [variable["value"] for variable in container["env"] if variable["name"] == "RATCHET_HOME"]
    assert f"RATCHET_HOME={home} " in dockerfile and f"VOLUME {home}\n" in dockerfile
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert set(mounts.values()) == set(volumes)
    claim = of_kind("PersistentVolumeClaim")
    assert volumes[mounts[home]]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"], "every node writes to it"


def test_ports() -> None:
    containers = [templates(cluster_of(document))[0]["spec"]["containers"][0] for document in OF_RAY]
    heads = [{port["name"]: port["containerPort"] for port in container["ports"]} for container in containers]
    assert all(ports == heads[0] for ports in heads)
    rules = of_kind("NetworkPolicy")["spec"]["ingress"]
    allowed = {port["port"] for rule in rules for port in rule.get("ports", ())}
    assert allowed == {heads[0][name] for name in ("dashboard", "serve", "metrics")}
    config = yaml.safe_load(of_kind("RayService")["spec"]["serveConfigV2"])
    assert config["http_options"]["port"] == heads[0]["serve"]


def nodes(cluster: dict[str, Any]) -> list[tuple[int, dict[str, float]]]:
    """The number of nodes in each group, the head first, with the resources that Ray reads for one."""
    head, *workers = _generate_available_node_types_from_ray_cr_spec(cluster).values()
    return [(1, head["resources"]), *((worker["min_workers"], worker["resources"]) for worker in workers)]


@pytest.mark.parametrize("document", OF_RAY, ids=name_of)
def test_nodes(document: dict[str, Any]) -> None:
    (_, head), *workers = nodes(cluster_of(document))
    assert head["CPU"] == 0, "samplers and train workers leave the head to drivers"
    assert workers and all(number and offer["sampler"] >= 1 for number, offer in workers)
    for group in (cluster_of(document)["headGroupSpec"], *cluster_of(document)["workerGroupSpecs"]):
        assert group["rayStartParams"]["object-store-memory"] == str(OBJECT_STORE)


def test_the_job_can_retry_and_has_the_resources_it_needs() -> None:
    job = of_kind("RayJob")["spec"]
    program, command, config, *overrides = shlex.split(job["entrypoint"])
    assert (program, command) == ("ratchet", "run")
    settings = load(ROOT / Path(config).relative_to("/opt/ratchet"), overrides)
    assert job["backoffLimit"] and settings.run_id, "a retry must find the run"
    there: Counter[str] = Counter()
    for number, offer in nodes(job["rayClusterSpec"]):
        there.update({name: number * int(amount) for name, amount in offer.items()})
    machine = Machine(num_cpus=there["CPU"], memory=None, disk=None, num_gpus=there["GPU"], gpu=None)
    plan = make_plan(settings, machine, Path("/nowhere"))
    for name, needed in {"CPU": plan.num_cpus, "GPU": plan.num_gpus, **plan.resources}.items():
        assert there[name] >= needed


def test_the_service_is_that_of_serve_yaml() -> None:
    config = yaml.safe_load((ROOT / "cluster" / "serve.yaml").read_text())
    in_kubernetes = yaml.safe_load(of_kind("RayService")["spec"]["serveConfigV2"])
    for each in (config, in_kubernetes):
        ServeDeploySchema.model_validate(each)
        (application,) = each["applications"]
        serving = validate(Serving, application["args"], "the arguments")
        assert each["http_options"] == {"host": serving.host, "port": serving.port}, (
            "the server sends requests to itself over HTTP"
        )
        module, _, function = application["import_path"].partition(":")
        assert re.search(rf"^def {function}\(", (ROOT / f"{module.replace('.', '/')}.py").read_text(), re.M)
        del each["http_options"]["host"], application["args"]["host"]
    assert config == in_kubernetes, "they differ in more than the address"
    # A second cluster, as in an upgrade, would write the same state.
    assert of_kind("RayService")["spec"]["upgradeStrategy"] == {"type": "None"}
