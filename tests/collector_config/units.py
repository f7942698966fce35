"""Checks systemd units: sections and keys that there are, and secrets that do not stand in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

_UNIT = "Description Documentation Wants Requires After Before StartLimitIntervalSec StartLimitBurst"
_SERVICE = """
Type ExecStartPre ExecStart ExecReload Restart RestartSec TimeoutStartSec TimeoutStopSec KillSignal Environment
EnvironmentFile LoadCredential DynamicUser User Group StateDirectory StateDirectoryMode WorkingDirectory UMask
MemoryHigh MemoryMax OOMScoreAdjust LimitNOFILE TasksMax ProtectSystem ProtectHome PrivateTmp PrivateDevices
PrivateUsers PrivateMounts ProtectProc ProcSubset ProtectClock ProtectControlGroups ProtectHostname ProtectKernelLogs
ProtectKernelModules ProtectKernelTunables NoNewPrivileges CapabilityBoundingSet AmbientCapabilities LockPersonality
RemoveIPC RestrictNamespaces RestrictRealtime RestrictSUIDSGID RestrictAddressFamilies SystemCallArchitectures
SystemCallFilter SystemCallErrorNumber
"""
# systemd.unit(5), systemd.service(5), systemd.exec(5), systemd.kill(5), systemd.resource-control(5) of systemd 252.
KEYS = {
    "Unit": frozenset(_UNIT.split()),
    "Service": frozenset(_SERVICE.split()),
    "Install": frozenset(["WantedBy", "RequiredBy", "Alias"]),
}
HARDENING = frozenset(
    {
        "DynamicUser=yes",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "CapabilityBoundingSet=",
        "RestrictNamespaces=yes",
        "SystemCallFilter=@system-service",
        "UMask=0077",
    }
)
"""What a unit of ours has to have."""


def settings(text: str) -> Iterator[tuple[str, str, str]]:
    """Section, key and value of each line. Raises ValueError for a line that is none of a unit's."""
    section = ""
    for line in text.splitlines():
        if not line or line.startswith(("#", ";")):
            continue
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = heading[1]
            continue
        key, equals, value = line.partition("=")
        if not equals or not section:
            raise ValueError(f"{line!r} is no setting of a unit")
        yield section, key, value


def problems(text: str, *, hardened: bool = True) -> list[str]:
    """All that is wrong with a unit; a drop-in need not be hardened by itself."""
    found = []
    lines = list(settings(text))
    for section, key, value in lines:
        if key not in KEYS.get(section, ()):
            found.append(f"[{section}] {key}: there is no such setting")
        if key == "Environment" and re.match(r'"?\w*(TOKEN|SECRET|PASSWORD|WEBHOOK)\w*=.', value):
            found.append(f"{value.partition('=')[0]}: a secret in a unit, which everybody can read")
        if key.startswith("Exec") and not value.startswith("/"):
            found.append(f"{key}: {value} is no absolute path")
    if hardened:
        found += [f"{each} is missing" for each in sorted(HARDENING - {f"{key}={value}" for _, key, value in lines})]
    return found
