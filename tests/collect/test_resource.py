"""Who measures, read from texts as Docker, containerd, podman, ECS and Kubernetes leave them in /proc."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelmon.collect.resource import container_id, detected_attributes, kubernetes, service_version

ID = "3726d1d3cb4a7a5b2b2e0b1b1d6ea8d1e1c1b2d4fd6a0a9d8f0c2f5b6a7e9c10"
OTHER = "dc64b5743252dbaef6e30521c34d6bbd1620c8ce65bdb7bf9e7143b61bb5b183"
POD = "0cb5ffb4-3a0e-4a1c-9d3c-1a7a5b2b2e0b"

CGROUPS = {
    "docker, cgroup v1": f"13:name=systemd:/docker/{ID}\n12:pids:/docker/{ID}\n1:cpu,cpuacct:/docker/{ID}\n",
    "docker, systemd": f"0::/system.slice/docker-{ID}.scope\n",
    "containerd, Kubernetes": f"11:memory:/kubepods/burstable/pod{POD}/{ID}\n",
    "containerd, Kubernetes by systemd": (
        f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD.replace('-', '_')}.slice/"
        f"cri-containerd-{ID}.scope\n"
    ),
    "containerd, Kubernetes by its own names": (
        f"9:cpuset:/system.slice/containerd.service/kubepods-pod{POD.replace('-', '_')}.slice:cri-containerd:{ID}\n"
    ),
    "cri-o": f"0::/kubepods.slice/kubepods-pod{POD.replace('-', '_')}.slice/crio-{ID}.scope\n",
    "docker in docker": f"1:cpu:/docker/{OTHER}/docker/{ID}\n",
    "podman": f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container\n",
}
# docker with cgroup v2 and a namespace of its own: only the mounts show it.
MOUNTS = f"""\
1046 1045 0:62 / / rw,relatime master:350 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/{OTHER}
1071 1046 259:1 /var/lib/docker/containers/{ID}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/root rw
1072 1046 259:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw,relatime - ext4 /dev/root rw
"""
PODMAN_MOUNTS = (
    f"983 961 0:56 /containers/overlay-containers/{ID}/userdata/hostname /etc/hostname rw,nosuid - tmpfs tmpfs rw\n"
)
SANDBOX_MOUNTS = (
    f"1 2 8:1 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/{ID}/hostname /etc/hostname rw - ext4 /dev/a rw\n"
)


@pytest.mark.parametrize("text", CGROUPS.values(), ids=CGROUPS)
def test_the_container_is_read_from_its_cgroup(text: str) -> None:
    assert container_id(text, "") == ID


def test_an_ecs_task_and_its_container_are_read_from_the_cgroup() -> None:
    task = "447438d8540d41fbaeff46a3ab3b4b9c"
    assert container_id(f"9:cpu:/ecs/{task}/{task}-1234567890\n", "") == f"{task}-1234567890"


@pytest.mark.parametrize("mounts", [MOUNTS, PODMAN_MOUNTS])
def test_where_the_cgroup_says_nothing_the_mounts_do(mounts: str) -> None:
    assert container_id("0::/\n", mounts) == ID


@pytest.mark.parametrize(
    "cgroup", ["", "0::/\n", "0::/user.slice/user-1000.slice/session-3.scope\n", "9:cpu:/a/b1c2\n"]
)
def test_outside_of_a_container_there_is_none_and_a_pods_sandbox_is_not_taken_for_it(cgroup: str) -> None:
    assert container_id(cgroup, SANDBOX_MOUNTS) == ""


def test_a_pod_is_known_by_its_host_name_its_namespace_file_and_its_cgroup() -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "shop-7d9f-x2x"}
    cgroup = CGROUPS["containerd, Kubernetes by systemd"]
    assert kubernetes(environ, cgroup=cgroup, namespace="store\n") == {
        "k8s.pod.name": "shop-7d9f-x2x",
        "k8s.namespace.name": "store",
        "k8s.pod.uid": POD,
    }


def test_what_the_downward_api_says_outweighs_what_is_guessed() -> None:
    environ = {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "HOSTNAME": "set-by-the-pod",
        "POD_NAME": "shop-7d9f-x2x",
        "POD_NAMESPACE": "store",
        "NODE_NAME": "node-3",
        "K8S_CONTAINER_NAME": "web",
    }
    assert kubernetes(environ, cgroup="", namespace="other") == {
        "k8s.pod.name": "shop-7d9f-x2x",
        "k8s.namespace.name": "store",
        "k8s.node.name": "node-3",
        "k8s.container.name": "web",
    }


def test_outside_of_kubernetes_a_host_name_is_no_pod() -> None:
    assert kubernetes({"HOSTNAME": "laptop", "NODE_NAME": "x"}, cgroup="", namespace="") == {}


def test_the_version_is_the_platforms_word_and_unknown_without_one() -> None:
    assert service_version({"SENTRY_RELEASE": "shop@1.4.2"}) == "shop@1.4.2"
    assert service_version({}) == ""


def test_only_what_is_known_becomes_an_attribute(tmp_path: Path) -> None:
    assert detected_attributes({}, root=tmp_path) == {}
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(CGROUPS["docker, cgroup v1"])
    assert detected_attributes({"SENTRY_RELEASE": "2.0"}, root=tmp_path) == {
        "container.id": ID,
        "service.version": "2.0",
    }
