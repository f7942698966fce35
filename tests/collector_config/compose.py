"""Checks a compose file: names, ports, files and variables that have to fit, and what a container may."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.collector_config.collector import variables
from tests.collector_config.documents import is_pinned, texts

# Keys of https://github.com/compose-spec/compose-spec that are used here.
SERVICE_KEYS = frozenset(
    [
        "build", "cap_drop", "command", "depends_on", "environment", "healthcheck", "image", "mem_limit", "ports",
        "read_only", "restart", "security_opt", "stop_grace_period", "tmpfs", "volumes",
    ]
)  # fmt: skip
HEALTH_KEYS = frozenset(["test", "interval", "timeout", "retries", "start_period"])
_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|WEBHOOK")
_REFERENCE = re.compile(r"(?<!\$)\$\{(\w+)(:[-?][^}]*)?\}")


def problems(compose: Mapping[str, Any], folder: Path) -> list[str]:
    """All that is wrong with a compose file that lies in ``folder``."""
    found = [f"{key}: no key of a compose file" for key in compose.keys() - {"services", "volumes"}]
    for name, service in compose["services"].items():
        found += [f"{name}: {what}" for what in _service(service, compose, folder)]
    used = {volume.partition(":")[0] for each in compose["services"].values() for volume in each.get("volumes", [])}
    found += [f"volumes: {name} is not used" for name in compose.get("volumes", {}).keys() - used]
    for path, text in texts(compose):
        if _SECRET.search(path.rpartition(".")[2]):
            reference = _REFERENCE.fullmatch(text)
            if reference is None or not (reference[2] or "").startswith(":?"):
                found.append(f"{path}: a secret is written ${{NAME:?what it is}}, so that nothing starts without it")
    return found


def _service(service: Mapping[str, Any], compose: Mapping[str, Any], folder: Path) -> Iterator[str]:
    yield from (f"{key} is no key of a service" for key in sorted(service.keys() - SERVICE_KEYS))
    yield from (f"{key} is no key of a healthcheck" for key in service.get("healthcheck", {}).keys() - HEALTH_KEYS)
    if not is_pinned(service.get("image", "")):
        yield f"{service.get('image')} is no one version"
    build = service.get("build")
    if build is not None and not (folder / build["context"] / build["dockerfile"]).is_file():
        yield f"there is no {build['dockerfile']}"
    for name, how in service.get("depends_on", {}).items():
        other = compose["services"].get(name)
        if other is None:
            yield f"it depends on {name}, which is no service"
        elif how["condition"] == "service_healthy" and "healthcheck" not in other:
            yield f"{name} has no healthcheck to wait for"
    if not service.get("read_only") or service.get("cap_drop") != ["ALL"]:
        yield "it may do more than it needs"
    for port in service.get("ports", []):
        if not re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port):
            yield f"{port} is open to other machines, or under another number"
    yield from _mounts(service, compose, folder)


def _mounts(service: Mapping[str, Any], compose: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Files are there and mounted read-only; volumes are declared; what the mounted configuration reads is set."""
    for volume in service.get("volumes", []):
        source, _, target = volume.partition(":")
        if not source.startswith("./"):
            if source not in compose.get("volumes", {}):
                yield f"no volume is called {source}"
            continue
        file = folder / source
        if not file.exists():
            yield f"there is no {source}"
        elif not target.endswith(":ro"):
            yield f"{source} may be written"
        elif file.is_file():
            needed, _ = variables(file.read_text(encoding="utf-8"))
            yield from (
                f"{source} reads {name}, which is not set" for name in sorted(needed - service["environment"].keys())
            )
