"""How all pages look, and what a browser may do with them: one style sheet, no script, nothing from elsewhere."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse


class Look:
    """Renders the templates; ``headers`` are those of each answer, without a body too."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("otelmon.server"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self._style = self._environment.get_template("style.css").render()
        self.headers = _headers(self._style)

    def page(self, template: str, status: int, **values: Any) -> HTMLResponse:
        """The page that this template makes of the values."""
        text = self._environment.get_template(template).render(style=self._style, **values)
        return HTMLResponse(text, status_code=status, headers=self.headers)


def _headers(style: str) -> dict[str, str]:
    digest = b64encode(sha256(style.encode()).digest()).decode()
    only_ours = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'"
    return {
        "Content-Security-Policy": f"{only_ours}; base-uri 'none'; frame-ancestors 'none'",
        "Cache-Control": "no-store",
        "X-Robots-Tag": "noindex, nofollow, noarchive",
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
