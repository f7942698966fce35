"""The host: its disks, its or the container's memory and CPU, on trees of files as each kernel writes them."""

import os
import time
from dataclasses import dataclass

import psutil
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otelmon.faults import Faults
from otelmon.instrument.cgroup import Cgroup, Cpu, Memory
from otelmon.instrument.disks import Disk, read_disks
from otelmon.instrument.host import HostSampler

MIB = 1 << 20


def write_tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return Cgroup(proc=root / "proc", sys_fs=root / "sys")


def memory_v2(limit, usage, inactive):
    return {"memory.max": limit, "memory.current": usage, "memory.stat": f"anon 1\ninactive_file {inactive}\nfile 5"}


def under(prefix, files):
    return {f"{prefix}/{name}": text for name, text in files.items()}


def test_a_container_on_version_2_has_its_working_set_and_limit(tmp_path):
    cgroup = write_tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            **under("sys", memory_v2(512 * MIB, 300 * MIB, 100 * MIB)),
            "sys/cpu.max": "150000 100000",
            "sys/cpu.stat": "usage_usec 2500000\nuser_usec 1\nsystem_usec 2",
        },
    )
    assert cgroup.memory() == Memory(usage=200.0 * MIB, limit=512.0 * MIB)
    assert cgroup.cpu() == Cpu(busy_seconds=2.5, cores=1.5)


def test_the_tightest_limit_of_nested_groups_counts_with_the_usage_of_its_level(tmp_path):
    cgroup = write_tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/app/worker",
            **under("sys/pod", memory_v2(300 * MIB, 250 * MIB, 50 * MIB)),
            **under("sys/pod/app", memory_v2(400 * MIB, 100 * MIB, 0)),
            **under("sys/pod/app/worker", memory_v2("max", 90 * MIB, 0)),
            "sys/pod/cpu.max": "400000 100000",
            "sys/pod/cpu.stat": "usage_usec 9000000",
            "sys/pod/app/cpu.max": "50000 100000",
            "sys/pod/app/cpu.stat": "usage_usec 4000000",
            "sys/pod/app/worker/cpu.max": "max 100000",
            "sys/pod/app/worker/cpu.stat": "usage_usec 1000000",
        },
    )
    assert cgroup.memory() == Memory(usage=200.0 * MIB, limit=300.0 * MIB)
    assert cgroup.cpu() == Cpu(busy_seconds=4.0, cores=0.5)


V1 = {
    "memory.limit_in_bytes": 256 * MIB,
    "memory.usage_in_bytes": 200 * MIB,
    "memory.stat": f"inactive_file 1\ntotal_inactive_file {80 * MIB}",
}
V1_GROUPS = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/"


@pytest.mark.parametrize("place", ["sys/memory", "sys/memory/docker/abc"], ids=["namespaced", "on the host"])
def test_a_container_on_version_1(tmp_path, place):
    cpu = {"cpu.cfs_quota_us": 200000, "cpu.cfs_period_us": 100000, "cpuacct.usage": 7_000_000_000}
    tree = {"proc/self/cgroup": V1_GROUPS, **under(place, V1), **under(place.replace("memory", "cpu,cpuacct"), cpu)}
    cgroup = write_tree(tmp_path, tree)
    assert cgroup.memory() == Memory(usage=120.0 * MIB, limit=256.0 * MIB)
    assert cgroup.cpu() == Cpu(busy_seconds=7.0, cores=2.0)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "0::/", **under("sys", memory_v2("max", 5, 1)), "sys/cpu.max": "max 100000"},
        {"proc/self/cgroup": "0::/system.slice/shop.service"},
        {
            "proc/self/cgroup": V1_GROUPS,
            **under("sys/memory", {**V1, "memory.limit_in_bytes": 9223372036854771712}),
            **under("sys/cpu", {"cpu.cfs_quota_us": -1, "cpu.cfs_period_us": 100000}),
            "sys/cpuacct/cpuacct.usage": 1,
        },
        {"proc/self/cgroup": "0::/", **under("sys", memory_v2("garbage", "x", "y")), "sys/cpu.max": "1 0"},
        {"proc/self/cgroup": "nonsense", "sys/memory.max": 5, "sys/memory.current": 1},
        {"proc/self/cgroup": "", "sys/memory.max": 5, "sys/memory.current": 1},
    ],
    ids=["no files", "v2 unlimited", "v2 no such group", "v1 unlimited", "v2 garbage", "garbage", "no groups"],
)
def test_nothing_limits(tmp_path, files):
    cgroup = write_tree(tmp_path, files)
    assert cgroup.memory() is None
    assert cgroup.cpu() is None


def test_a_path_in_proc_cannot_lead_out_of_the_hierarchy(tmp_path):
    cgroup = write_tree(tmp_path, {"proc/self/cgroup": "0::/../../outside", **under("outside", memory_v2(1, 1, 0))})
    (tmp_path / "sys").mkdir()
    assert cgroup.memory() is None


@dataclass
class Mount:
    device: str
    mountpoint: str
    fstype: str = "ext4"
    opts: str = "rw,relatime"


@dataclass
class Space:
    used: int
    free: int


def disks(*mounts, full=None, files=()):
    def usage(mountpoint):
        used = (full or {}).get(mountpoint, 50)
        if used is None:
            raise OSError("stale")
        return Space(used=used, free=100 - used)

    return read_disks(lambda: mounts, usage, lambda path: path not in files)


def test_each_device_is_reported_once_the_fullest_first():
    found = disks(
        Mount("/dev/sda1", "/srv/data"),
        Mount("/dev/vda1", "/"),
        Mount("/dev/vda1", "/var/lib/docker"),
        full={"/": 20, "/srv/data": 90},
    )
    assert found == [
        Disk(device="/dev/sda1", mountpoint="/srv/data", fstype="ext4", utilization=0.9),
        Disk(device="/dev/vda1", mountpoint="/", fstype="ext4", utilization=0.2),
    ]


@pytest.mark.parametrize(
    "mount",
    [
        Mount("/dev/loop3", "/snap/core/1", "squashfs", "ro,nodev"),
        Mount("/dev/loop4", "/mnt/image", "ext4"),
        Mount("/dev/sr0", "/media/cdrom", "iso9660"),
        Mount("/dev/sdb1", "/usr/share", "ext4", "ro,relatime"),
        Mount("tmpfs", "/run", "tmpfs"),
        Mount("devtmpfs", "/dev", "devtmpfs"),
        Mount("proc", "/proc", "proc"),
        Mount("overlay", "/var/lib/docker/overlay2/x/merged", "overlay"),
        Mount("nas:/export", "/mnt/nas", "nfs4"),
        Mount("//nas/share", "/mnt/share", "cifs"),
        Mount("sshfs", "/mnt/remote", "fuse.sshfs"),
        Mount("cgroup2", "/sys/fs/cgroup", "cgroup2"),
    ],
    ids=lambda mount: mount.mountpoint,
)
def test_what_cannot_fill_up_or_may_hang_is_not_reported(mount):
    assert disks(mount, full={mount.mountpoint: 100}) == []


def test_a_container_reports_its_root_once_and_its_volumes_but_no_bound_files():
    found = disks(
        Mount("overlay", "/", "overlay"),
        Mount("/dev/vda1", "/etc/hosts"),
        Mount("/dev/vda1", "/etc/resolv.conf"),
        Mount("/dev/vdb", "/data", "xfs"),
        Mount("tmpfs", "/dev/shm", "tmpfs"),
        files={"/etc/hosts", "/etc/resolv.conf"},
    )
    assert [(disk.device, disk.mountpoint) for disk in found] == [("overlay", "/"), ("/dev/vdb", "/data")]


def test_a_file_system_that_cannot_be_asked_costs_the_others_nothing():
    assert [disk.mountpoint for disk in disks(Mount("/dev/a", "/a"), Mount("/dev/b", "/b"), full={"/a": None})] == [
        "/b"
    ]


def test_a_file_system_without_blocks_is_no_disk():
    assert read_disks(lambda: [Mount("/dev/a", "/a")], lambda _: Space(used=0, free=0), lambda _: True) == []


def test_the_disk_of_this_machine_is_as_full_as_df_says():
    root = [disk for disk in read_disks() if disk.mountpoint == "/"]
    if not root:
        pytest.skip("the root of this machine is read-only or in memory")
    assert root[0].utilization == pytest.approx(psutil.disk_usage("/").percent / 100, abs=0.01)


class Host:
    """A sampler on a tree of files, and what a reader then collects."""

    def __init__(self, root, files=(), **how):
        write_tree(root, dict(files))
        self.reader = InMemoryMetricReader()
        self.faults = Faults()
        provider = MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False)
        self.sampler = HostSampler(
            provider.get_meter("test"), faults=self.faults, proc=root / "proc", sys_fs=root / "sys", **how
        )

    def collect(self):
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        (resource,) = data.resource_metrics
        return {
            metric.name: [(point.value, dict(point.attributes)) for point in metric.data.data_points]
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


def only(points):
    ((value, attributes),) = points
    assert attributes == {}
    return value


def test_a_container_is_measured_against_its_own_limits(tmp_path):
    host = Host(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            **under("sys", memory_v2(64 * MIB, 48 * MIB, 16 * MIB)),
            "sys/cpu.max": "10000 100000",
            "sys/cpu.stat": "usage_usec 1500000",
        },
    )
    host.sampler.sample()
    found = host.collect()
    assert only(found["otelmon.memory.usage"]) == 32 * MIB
    assert only(found["otelmon.memory.limit"]) == 64 * MIB
    assert only(found["otelmon.cpu.time"]) == 1.5
    assert only(found["otelmon.cpu.limit"]) == 0.1


def test_without_limits_the_host_is_measured(tmp_path):
    host = Host(tmp_path)
    before = time.monotonic()
    host.sampler.sample()
    first = host.collect()
    total = psutil.virtual_memory().total
    assert only(first["otelmon.memory.limit"]) == total
    assert 0 < only(first["otelmon.memory.usage"]) < total
    assert only(first["otelmon.cpu.limit"]) == os.cpu_count()
    assert only(first["process.memory.usage"]) > MIB
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    host.sampler.sample()
    busy = only(host.collect()["otelmon.cpu.time"]) - only(first["otelmon.cpu.time"])
    assert 0.03 <= busy <= (time.monotonic() - before) * os.cpu_count() + 0.1


def test_a_limit_above_what_the_host_has_is_none(tmp_path):
    host = Host(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            **under("sys", memory_v2(1 << 50, 1, 0)),
            "sys/cpu.max": "100000000 1000",
            "sys/cpu.stat": "usage_usec 1",
        },
    )
    host.sampler.sample()
    found = host.collect()
    assert only(found["otelmon.memory.limit"]) == psutil.virtual_memory().total
    assert only(found["otelmon.cpu.limit"]) == os.cpu_count()


def test_disks_have_the_semantic_conventions_attributes(tmp_path):
    disk = Disk(device="/dev/vda", mountpoint="/", fstype="ext4", utilization=0.4)
    host = Host(tmp_path, disks=lambda: [disk])
    host.sampler.sample()
    assert host.collect()["system.filesystem.utilization"] == [
        (
            0.4,
            {
                "system.device": "/dev/vda",
                "system.filesystem.mountpoint": "/",
                "system.filesystem.type": "ext4",
            },
        )
    ]


def test_a_callback_does_no_work_of_its_own(tmp_path):
    calls = []
    host = Host(tmp_path, disks=lambda: calls.append(1) or [])
    assert host.collect() == {}
    assert calls == []
    host.sampler.sample()
    host.collect()
    host.collect()
    assert calls == [1]


def test_a_source_that_fails_is_counted_and_logged_once_and_the_others_go_on(tmp_path, caplog):
    broken = True

    def read():
        if broken:
            raise PermissionError("no")
        return [Disk(device="/dev/vda", mountpoint="/", fstype="ext4", utilization=0.4)]

    host = Host(tmp_path, disks=read)
    for _ in range(3):
        host.sampler.sample()
    found = host.collect()
    assert "system.filesystem.utilization" not in found
    assert {"otelmon.memory.usage", "otelmon.cpu.time", "process.memory.usage"} <= set(found)
    assert host.faults.counts == {"host disks": 3}
    assert len(caplog.records) == 1
    broken = False
    host.sampler.sample()
    assert "system.filesystem.utilization" in host.collect()
