"""Checks Kubernetes manifests: what refers to something finds it, and containers may no more than they have to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.collector_config.collector import variables
from tests.collector_config.documents import is_pinned

VERSIONS = {
    "ServiceAccount": "v1",
    "PersistentVolumeClaim": "v1",
    "Service": "v1",
    "Deployment": "apps/v1",
    "DaemonSet": "apps/v1",
    "PodDisruptionBudget": "policy/v1",
    "ClusterRole": "rbac.authorization.k8s.io/v1",
    "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
}
_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|WEBHOOK|HEARTBEAT")
_CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """The objects. ``config_maps`` are those that kustomize makes, with their texts by key.

    ``secrets`` are the keys of each Secret that people are told to make.
    """

    objects: Sequence[Mapping[str, Any]]
    config_maps: Mapping[str, Mapping[str, str]]
    secrets: Mapping[str, frozenset[str]]
    namespace: str

    def of(self, *kinds: str) -> list[Mapping[str, Any]]:
        return [each for each in self.objects if each["kind"] in kinds]

    def names(self, kind: str) -> set[str]:
        return {each["metadata"]["name"] for each in self.of(kind)}

    def workloads(self) -> list[Mapping[str, Any]]:
        return self.of("Deployment", "DaemonSet")


def problems(found: Manifests) -> list[str]:
    """All that is wrong with them."""
    return [
        f"{where}: {what}"
        for each in found.objects
        for where in [f"{each['kind']} {each['metadata']['name']}"]
        for what in [*_object(each), *_CHECKS.get(each["kind"], _nothing)(each, found)]
    ]


def _object(each: Mapping[str, Any]) -> Iterator[str]:
    if VERSIONS.get(each["kind"]) != each["apiVersion"]:
        yield f"{each['apiVersion']} is not its version"
    if each["metadata"].get("labels", {}).get("app.kubernetes.io/name") != each["metadata"]["name"]:
        yield "its label app.kubernetes.io/name is not its name"


def _nothing(_each: Mapping[str, Any], _found: Manifests) -> Iterator[str]:
    yield from ()


def _selected(selector: Mapping[str, str], found: Manifests) -> list[Mapping[str, Any]]:
    return [
        each
        for each in found.workloads()
        if selector and selector.items() <= each["spec"]["template"]["metadata"]["labels"].items()
    ]


def _service(each: Mapping[str, Any], found: Manifests) -> Iterator[str]:
    selected = _selected(each["spec"]["selector"], found)
    if len(selected) != 1:
        yield f"it selects {len(selected)} workloads"
        return
    ports = {port["name"]: port["containerPort"] for port in _ports(selected[0])}
    for port in each["spec"]["ports"]:
        if ports.get(port["targetPort"]) != port["port"]:
            yield f"no container listens as {port['targetPort']} on {port['port']}"


def _budget(each: Mapping[str, Any], found: Manifests) -> Iterator[str]:
    selected = _selected(each["spec"]["selector"]["matchLabels"], found)
    if not selected:
        yield "it selects no workload"
    for workload in selected:
        if each["spec"].get("minAvailable", 0) >= workload["spec"].get("replicas", 1):
            yield "it holds up every drain"


def _binding(each: Mapping[str, Any], found: Manifests) -> Iterator[str]:
    if each["roleRef"]["name"] not in found.names(each["roleRef"]["kind"]):
        yield f"there is no {each['roleRef']['kind']} {each['roleRef']['name']}"
    for subject in each["subjects"]:
        if subject["name"] not in found.names(subject["kind"]) or subject["namespace"] != found.namespace:
            yield f"there is no {subject['kind']} {subject['name']} in {subject['namespace']}"


def _ports(workload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [port for each in workload["spec"]["template"]["spec"]["containers"] for port in each.get("ports", [])]


def _workload(each: Mapping[str, Any], found: Manifests) -> Iterator[str]:
    template = each["spec"]["template"]
    pod = template["spec"]
    selector = each["spec"]["selector"]["matchLabels"]
    if not selector.items() <= template["metadata"]["labels"].items():
        yield "its selector is not among its pods' labels"
    if pod["serviceAccountName"] not in found.names("ServiceAccount"):
        yield f"there is no ServiceAccount {pod['serviceAccountName']}"
    if not pod.get("securityContext", {}).get("runAsNonRoot"):
        yield "its pods may run as root"
    if pod.get("securityContext", {}).get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "its pods have no seccomp profile"
    claims = [volume for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    if claims and (each["spec"].get("strategy") != {"type": "Recreate"} or each["spec"]["replicas"] != 1):
        yield "two pods would share one volume"
    yield from _volumes(pod, found)
    for container in pod["containers"]:
        for what in [*_container(container), *_environment(container, pod, found)]:
            yield f"{container['name']}: {what}"


def _volumes(pod: Mapping[str, Any], found: Manifests) -> Iterator[str]:
    names = {volume["name"] for volume in pod["volumes"]}
    mounted = {mount["name"] for each in pod["containers"] for mount in each.get("volumeMounts", [])}
    yield from (f"no volume is called {name}" for name in mounted - names)
    yield from (f"volume {name} is not mounted" for name in names - mounted)
    for volume in pod["volumes"]:
        if claim := volume.get("persistentVolumeClaim"):
            if claim["claimName"] not in found.names("PersistentVolumeClaim"):
                yield f"there is no PersistentVolumeClaim {claim['claimName']}"
        elif source := volume.get("configMap"):
            keys = found.config_maps.get(source["name"])
            if keys is None:
                yield f"there is no ConfigMap {source['name']}"
            else:
                wanted = {item["key"] for item in source.get("items", [])} or set(keys)
                yield from (f"{source['name']} has no key {key}" for key in wanted - set(keys))
                yield from (f"{source['name']}: {key} is not mounted" for key in set(keys) - wanted)


def _container(container: Mapping[str, Any]) -> Iterator[str]:
    if not is_pinned(container["image"]):
        yield f"{container['image']} is no one version"
    may = container.get("securityContext", {})
    if may.get("allowPrivilegeEscalation") is not False or may.get("capabilities") != {"drop": ["ALL"]}:
        yield "it may gain privileges"
    if not may.get("readOnlyRootFilesystem"):
        yield "it may write to its image"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "it may take all memory of the node"
    names = {port["name"] for port in container.get("ports", [])}
    for probe in ("livenessProbe", "readinessProbe"):
        if probe not in container:
            yield f"it has no {probe}"
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        port = container.get(probe, {}).get("httpGet", {}).get("port")
        if port is not None and port not in names:
            yield f"{probe}: no port is called {port}"


def _environment(container: Mapping[str, Any], pod: Mapping[str, Any], found: Manifests) -> Iterator[str]:
    """Secrets come from Secrets that people are told to make; what the mounted configuration reads is set."""
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference is None:
            if _SECRET.search(variable["name"]):
                yield f"{variable['name']} is not from a Secret"
        elif not reference.get("optional") and reference["key"] not in found.secrets.get(reference["name"], ()):
            yield f"nobody is told to make key {reference['key']} of Secret {reference['name']}"
    given = {variable["name"] for variable in container.get("env", [])}
    maps = {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume}
    for name in maps & found.config_maps.keys():
        for key, text in found.config_maps[name].items():
            yield from (f"{key} reads {each}, which is not set" for each in sorted(variables(text)[0] - given))


_CHECKS = {
    "Service": _service,
    "PodDisruptionBudget": _budget,
    "ClusterRoleBinding": _binding,
    "Deployment": _workload,
    "DaemonSet": _workload,
}
