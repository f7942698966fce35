"""The Kubernetes manifests fit together, and the check sees what would not."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.collector_config.documents import FOLDER, GRPC, HTTP, PUBLIC, document, documents, is_pinned
from tests.collector_config.kubernetes import Manifests, problems
from tests.collector_config.test_collector import read

KUSTOMIZATION = document((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))


def _config_map(generator: dict[str, Any]) -> dict[str, str]:
    found = {}
    for file in generator["files"]:
        key, _, path = file.rpartition("=")
        found[key or Path(path).name] = (FOLDER / path).read_text(encoding="utf-8")
    return found


def manifests() -> Manifests:
    """What kustomization.yaml names, read without kustomize."""
    comment = (FOLDER / "kustomization.yaml").read_text(encoding="utf-8").partition("apiVersion")[0]
    told = re.search(r"create secret generic (\w+)(.*)", comment.replace("\\\n#", ""))
    assert told is not None
    return Manifests(
        objects=[
            each
            for path in KUSTOMIZATION["resources"]
            for each in documents((FOLDER / path).read_text(encoding="utf-8"))
        ],
        config_maps={each["name"]: _config_map(each) for each in KUSTOMIZATION["configMapGenerator"]},
        secrets={told[1]: frozenset(re.findall(r"--from-literal=([\w-]+)=", told[2]))},
        namespace=KUSTOMIZATION["namespace"],
    )


def one(found: Manifests, kind: str, name: str = "otelmon") -> Any:
    (each,) = (each for each in found.of(kind) if each["metadata"]["name"] == name)
    return each


def test_the_manifests_have_no_problem() -> None:
    assert problems(manifests()) == []


def test_each_manifest_is_in_the_kustomization() -> None:
    files = {f"kubernetes/{path.name}" for path in (FOLDER / "kubernetes").iterdir()}
    generated = {file.rpartition("=")[2] for each in KUSTOMIZATION["configMapGenerator"] for file in each["files"]}
    assert files == {*KUSTOMIZATION["resources"], *(path for path in generated if path.startswith("kubernetes/"))}


def test_images_that_are_named_anew_are_there_and_pinned() -> None:
    used = {
        container["image"].partition(":")[0]
        for each in manifests().workloads()
        for container in each["spec"]["template"]["spec"]["containers"]
    }
    for image in KUSTOMIZATION["images"]:
        assert image["name"] in used
        assert is_pinned(f"{image['newName']}:{image['newTag']}")


def test_otelmon_is_asked_where_it_answers_and_listens_on_its_own_ports() -> None:
    (container,) = one(manifests(), "Deployment")["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"otlp-grpc": GRPC, "otlp-http": HTTP, "public": PUBLIC}
    assert container["livenessProbe"]["httpGet"] == {"path": "/-/healthy", "port": "public"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/-/ready", "port": "public"}
    assert container["startupProbe"]["httpGet"] == {"path": "/-/healthy", "port": "public"}


def test_the_state_is_on_the_volume_and_the_configuration_where_it_is_looked_for() -> None:
    (container,) = one(manifests(), "Deployment")["spec"]["template"]["spec"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    config = document((FOLDER / "otelmon.yaml").read_text(encoding="utf-8"))
    assert mounts["state"] == config["state_dir"]
    assert container["args"] == ["serve", "--config", f"{mounts['config']}/otelmon.yaml"]
    (volume,) = (
        each for each in one(manifests(), "Deployment")["spec"]["template"]["spec"]["volumes"] if "configMap" in each
    )
    assert {item["path"] for item in volume["configMap"]["items"]} == {"otelmon.yaml", *config["rule_files"]}


def test_agents_find_otelmon_and_listen_where_their_service_says() -> None:
    found = manifests()
    (container,) = one(found, "DaemonSet", "otelmon-agent")["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["OTELMON_ENDPOINT"] == f"http://otelmon.{found.namespace}:{GRPC}"
    config = read("kubernetes/agent-config.yaml")
    listens = {
        *(each["endpoint"] for each in config["receivers"]["otlp"]["protocols"].values()),
        config["extensions"]["health_check"]["endpoint"],
    }
    assert listens == {f"${{env:POD_IP}}:{port['containerPort']}" for port in container["ports"]}
    assert container["volumeMounts"][1]["mountPath"] == config["receivers"]["hostmetrics"]["root_path"]
    assert config["processors"]["k8sattributes"]["filter"]["node_from_env_var"] in environment


def _container(found: Manifests) -> Any:
    return one(found, "Deployment")["spec"]["template"]["spec"]["containers"][0]


def _pod(found: Manifests) -> Any:
    return one(found, "Deployment")["spec"]["template"]["spec"]


BROKEN: dict[str, tuple[Callable[[Manifests], Any], str]] = {
    "an old API version": (lambda m: one(m, "Deployment").update(apiVersion="apps/v1beta1"), "is not its version"),
    "a missing label": (lambda m: one(m, "Service")["metadata"].pop("labels"), "is not its name"),
    "a selector of nothing": (lambda m: one(m, "Service")["spec"].update(selector={"app": "x"}), "selects 0 workloads"),
    "a selector of other pods": (
        lambda m: one(m, "Deployment")["spec"]["selector"].update(matchLabels={"app": "x"}),
        "not among its pods' labels",
    ),
    "a port that is not there": (
        lambda m: one(m, "Service")["spec"]["ports"][0].update(targetPort="otlp"),
        "no container listens as otlp",
    ),
    "another port": (lambda m: one(m, "Service")["spec"]["ports"][0].update(port=4417), "on 4417"),
    "a budget of nothing": (
        lambda m: one(m, "PodDisruptionBudget")["spec"]["selector"].update(matchLabels={"app": "x"}),
        "selects no workload",
    ),
    "a budget that blocks": (lambda m: one(m, "PodDisruptionBudget")["spec"].update(minAvailable=1), "every drain"),
    "a role that is not there": (
        lambda m: one(m, "ClusterRoleBinding", "otelmon-agent")["roleRef"].update(name="x"),
        "there is no ClusterRole x",
    ),
    "a subject elsewhere": (
        lambda m: one(m, "ClusterRoleBinding", "otelmon-agent")["subjects"][0].update(namespace="default"),
        "in default",
    ),
    "an account that is not there": (lambda m: _pod(m).update(serviceAccountName="x"), "no ServiceAccount x"),
    "root": (lambda m: _pod(m)["securityContext"].pop("runAsNonRoot"), "may run as root"),
    "no seccomp": (lambda m: _pod(m)["securityContext"].pop("seccompProfile"), "no seccomp"),
    "two replicas": (lambda m: one(m, "Deployment")["spec"].update(replicas=2), "share one volume"),
    "rolling over one volume": (lambda m: one(m, "Deployment")["spec"].pop("strategy"), "share one volume"),
    "a mount of nothing": (lambda m: _pod(m)["volumes"].pop(2), "no volume is called tmp"),
    "an unused volume": (lambda m: _container(m)["volumeMounts"].pop(2), "volume tmp is not mounted"),
    "a claim that is not there": (
        lambda m: _pod(m)["volumes"][1].update(persistentVolumeClaim={"claimName": "x"}),
        "no PersistentVolumeClaim x",
    ),
    "a config map that is not there": (
        lambda m: _pod(m)["volumes"][0].update(configMap={"name": "x"}),
        "no ConfigMap x",
    ),
    "a key that is not there": (
        lambda m: _pod(m)["volumes"][0]["configMap"]["items"][0].update(key="x"),
        "has no key x",
    ),
    "a key that is not mounted": (
        lambda m: _pod(m)["volumes"][0]["configMap"]["items"].pop(),
        "scrape.yml is not mounted",
    ),
    "latest": (lambda m: _container(m).update(image="otelmon:latest"), "is no one version"),
    "no tag": (lambda m: _container(m).update(image="otelmon"), "is no one version"),
    "privileges": (
        lambda m: _container(m)["securityContext"].update(allowPrivilegeEscalation=True),
        "may gain privileges",
    ),
    "a writable image": (
        lambda m: _container(m)["securityContext"].pop("readOnlyRootFilesystem"),
        "may write to its image",
    ),
    "no bound of memory": (lambda m: _container(m)["resources"].pop("limits"), "all memory of the node"),
    "no probe": (lambda m: _container(m).pop("readinessProbe"), "has no readinessProbe"),
    "a probe of no port": (
        lambda m: _container(m)["livenessProbe"]["httpGet"].update(port="web"),
        "no port is called web",
    ),
    "a secret written out": (
        lambda m: _container(m)["env"].append({"name": "OTHER_TOKEN", "value": "x"}),
        "OTHER_TOKEN is not from a Secret",
    ),
    "a secret nobody makes": (
        lambda m: _container(m)["env"][1]["valueFrom"]["secretKeyRef"].update(key="x"),
        "nobody is told to make key x",
    ),
    "a variable that is not set": (lambda m: _container(m)["env"].pop(2), "reads DISCORD_WEBHOOK_URL"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_the_check_sees(what: str) -> None:
    breaking, words = BROKEN[what]
    found = copy.deepcopy(manifests())
    breaking(found)
    assert any(words in problem for problem in problems(found)), problems(found)


@pytest.fixture(scope="module")
def built() -> list[Any]:
    """The objects as kustomize makes them."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl on PATH: what kustomize makes of kustomization.yaml was not checked")
    done = subprocess.run([kubectl, "kustomize", str(FOLDER)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


def test_kustomize_builds_what_the_manifests_say(built: list[Any]) -> None:
    kinds = sorted(each["kind"] for each in built if each["kind"] != "ConfigMap")
    assert kinds == sorted(each["kind"] for each in manifests().objects)
    maps = {each["metadata"]["name"]: set(each["data"]) for each in built if each["kind"] == "ConfigMap"}
    (deployment,) = (each for each in built if each["kind"] == "Deployment")
    (daemons,) = (each for each in built if each["kind"] == "DaemonSet")
    for workload in (deployment, daemons):
        pod = workload["spec"]["template"]["spec"]
        assert {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume} <= set(maps)
    (image,) = KUSTOMIZATION["images"]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"{image['newName']}:{image['newTag']}"


def test_each_object_is_what_kubernetes_schema_says(built: list[Any]) -> None:
    validate = pytest.importorskip(
        "kubernetes_validate",
        reason="kubernetes-validate (PyPI) is not installed: fields were not checked against Kubernetes' own schema",
    )
    for each in built:
        validate.validate(each, "1.30", strict=True)
