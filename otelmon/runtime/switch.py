"""Who is paged when: whether this process pages at all, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from otelmon.config.settings import PagingMode

PRODUCTION = frozenset({"production", "prod"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PagingDecision:
    """Whether pages are sent, and the reason in words for the start-up line."""

    on: bool
    reason: str


def decide_paging(
    mode: PagingMode, *, environment: str | None, has_webhook: bool, development: str | None
) -> PagingDecision:
    """Whether this process pages.

    ``mode`` on and off are taken as said. ``auto`` pages in production, or where no environment is declared and a
    webhook is set; never in another environment, and never where ``development`` names a sign of development
    (see ``development_sign``). Metrics are recorded and rules evaluated in any case.
    """
    if mode is not PagingMode.AUTO:
        return PagingDecision(on=mode is PagingMode.ON, reason=f"paging: {mode}")
    if development is not None:
        return PagingDecision(on=False, reason=development)
    if environment is not None:
        if environment.lower() in PRODUCTION:
            return PagingDecision(on=True, reason="this is production")
        return PagingDecision(on=False, reason=f"{environment} is not production; paging: on pages here too")
    if has_webhook:
        return PagingDecision(on=True, reason="a webhook is set and no environment is declared")
    return PagingDecision(on=False, reason="neither an environment nor a webhook is set")


def development_sign(app: object, *, argv: Sequence[str], environ: Mapping[str, str], modules: object) -> str | None:
    """What says that this process is a developer's: pytest, ``--reload``, ``fastapi dev`` or the app's debug flag."""
    if "PYTEST_CURRENT_TEST" in environ or (isinstance(modules, Mapping) and "_pytest.runner" in modules):
        return "running under pytest"
    if "--reload" in argv or environ.get("UVICORN_RELOAD", "").lower() in {"1", "true"}:
        return "the server runs with --reload"
    if len(argv) > 1 and argv[1] == "dev" and "fastapi" in argv[0]:
        return "the server runs as `fastapi dev`"
    if getattr(app, "debug", False) is True:
        return "the app runs with debug=True"
    return None
