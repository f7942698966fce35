"""Who measures: resource attributes that the environment, the kernel and Kubernetes tell, each where it is known.

Attributes as in https://opentelemetry.io/docs/specs/semconv/resource/. Nothing is asked over a network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from otelmon.variables import Variables

# 64 hexadecimal digits (docker, containerd, cri-o, podman), or an ECS task's id with its container's number.
_ID = r"([0-9a-f]{64}|[0-9a-f]{32}-[0-9]{1,20})"
_IN_CGROUP = re.compile(rf"(?:^|[/:-]){_ID}(?:\.scope)?(?=/|$)")
# What docker and podman mount into the container from its own folder: .../containers/ID/hostname and its kin. The one
# that containerd mounts has the id of the pod's sandbox, which is another.
_IN_MOUNTS = re.compile(rf"/(?:containers|overlay-containers)/{_ID}/(?:userdata/)?(?:hostname|hosts|resolv\.conf) ")
_POD_ID = re.compile(r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})")

# What people call them where the downward API fills a variable, as the Kubernetes and OpenTelemetry documentation do.
_KUBERNETES = {
    "k8s.pod.name": ("K8S_POD_NAME", "KUBERNETES_POD_NAME", "POD_NAME", "MY_POD_NAME"),
    "k8s.pod.uid": ("K8S_POD_UID", "KUBERNETES_POD_UID", "POD_UID", "MY_POD_UID"),
    "k8s.namespace.name": ("K8S_NAMESPACE_NAME", "K8S_NAMESPACE", "POD_NAMESPACE", "MY_POD_NAMESPACE"),
    "k8s.node.name": ("K8S_NODE_NAME", "KUBERNETES_NODE_NAME", "NODE_NAME", "MY_NODE_NAME"),
    "k8s.container.name": ("K8S_CONTAINER_NAME", "KUBERNETES_CONTAINER_NAME", "CONTAINER_NAME"),
    "k8s.deployment.name": ("K8S_DEPLOYMENT_NAME", "KUBERNETES_DEPLOYMENT_NAME", "DEPLOYMENT_NAME"),
    "k8s.cluster.name": ("K8S_CLUSTER_NAME", "KUBERNETES_CLUSTER_NAME", "CLUSTER_NAME"),
}  # fmt: skip
_IN_KUBERNETES = "KUBERNETES_SERVICE_HOST"
_NAMESPACE_FILE = "var/run/secrets/kubernetes.io/serviceaccount/namespace"
_VERSIONS = ("SENTRY_RELEASE", "HEROKU_RELEASE_VERSION")


def detected_attributes(environ: Mapping[str, str], root: Path = Path("/")) -> dict[str, str]:
    """All that is known here. ``root`` is where /proc and /var are looked for."""
    cgroup, mounts = _text(root / "proc/self/cgroup"), _text(root / "proc/self/mountinfo")
    found = {"service.version": service_version(environ), "container.id": container_id(cgroup, mounts)}
    found |= kubernetes(environ, cgroup=cgroup, namespace=_text(root / _NAMESPACE_FILE))
    return {name: value for name, value in found.items() if value}


def service_version(environ: Mapping[str, str]) -> str:
    """The version that the platform or Sentry's release names; empty where none does."""
    variables = Variables(environ)
    return next((text for name in _VERSIONS if (text := variables.text(name))), "")


def container_id(cgroup: str, mountinfo: str) -> str:
    """The container's id, of the texts of /proc/self/cgroup and /proc/self/mountinfo; empty outside of one.

    The first has it under cgroup v1, or where the cgroup namespace is the host's; under v2 it is ``0::/``, and only
    the mounts show it.
    """
    for line in cgroup.splitlines():
        ids = _IN_CGROUP.findall(line.rpartition(":")[2])
        if ids:
            return str(ids[-1])
    found = _IN_MOUNTS.search(mountinfo)
    return "" if found is None else found[1]


def kubernetes(environ: Mapping[str, str], *, cgroup: str, namespace: str) -> dict[str, str]:
    """The ``k8s.*`` attributes, of the usual variables and of what each pod has; none outside of Kubernetes.

    ``namespace`` is the text of the service account's file of that name. A pod's host name is its name.
    """
    variables = Variables(environ)
    if variables.text(_IN_KUBERNETES) is None:
        return {}
    known = {"k8s.pod.name": variables.text("HOSTNAME") or "", "k8s.namespace.name": namespace.strip()}
    if (uid := _POD_ID.search(cgroup)) is not None:
        known["k8s.pod.uid"] = uid[1].replace("_", "-")
    for attribute, names in _KUBERNETES.items():
        known[attribute] = next((text for name in names if (text := variables.text(name))), known.get(attribute, ""))
    return {attribute: value for attribute, value in known.items() if value}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
