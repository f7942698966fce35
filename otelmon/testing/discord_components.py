"""What Discord takes of components: link buttons in action rows, from a webhook that no application owns.

From Discord's documentation of message components and of the parameter ``with_components``.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

LINK = 5
_ACTION_ROW, _BUTTON = 1, 2
_MOST_ROWS, _MOST_BUTTONS = 5, 5
_LABEL, _URL = 80, 512
_SCHEMES = ("http", "https", "discord")
_REQUIRED = ("BASE_TYPE_REQUIRED", "This field is required")

Faults = dict[str, list[tuple[str, str]]]


def component_faults(components: Any) -> Faults:
    """What is wrong, by path, with Discord's codes and words; empty where nothing is."""
    faults: Faults = {}
    if components is None:
        return faults
    if not isinstance(components, list):
        return {"components": [("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")]}
    if len(components) > _MOST_ROWS:
        faults["components"] = [("BASE_TYPE_BAD_LENGTH", f"Must be between 1 and {_MOST_ROWS} in length.")]
    for index, row in enumerate(components):
        path = f"components.{index}"
        if not isinstance(row, dict) or row.get("type") != _ACTION_ROW:
            faults[f"{path}.type"] = [("UNION_TYPE_CHOICES", f'Value of field "type" must be one of ({_ACTION_ROW},).')]
            continue
        buttons = row.get("components")
        if not isinstance(buttons, list) or not 1 <= len(buttons) <= _MOST_BUTTONS:
            words = f"Must be between 1 and {_MOST_BUTTONS} in length."
            faults[f"{path}.components"] = [("BASE_TYPE_BAD_LENGTH", words)]
            continue
        for number, button in enumerate(buttons):
            _button(faults, f"{path}.components.{number}", button)
    return faults


def _button(faults: Faults, path: str, button: Any) -> None:
    if not isinstance(button, dict) or button.get("type") != _BUTTON:
        faults[f"{path}.type"] = [("UNION_TYPE_CHOICES", f'Value of field "type" must be one of ({_BUTTON},).')]
        return
    if button.get("style") != LINK or "custom_id" in button:
        message = "Webhooks can only send non-interactive components"
        faults[path] = [("APPLICATION_WEBHOOK_REQUIRED", message)]
        return
    label, url = button.get("label"), button.get("url")
    if not isinstance(label, str) or not label.strip():
        faults[f"{path}.label"] = [_REQUIRED]
    elif _length(label) > _LABEL:
        faults[f"{path}.label"] = [("BASE_TYPE_MAX_LENGTH", f"Must be {_LABEL} or fewer in length.")]
    if not isinstance(url, str) or not url:
        faults[f"{path}.url"] = [_REQUIRED]
    elif _length(url) > _URL:
        faults[f"{path}.url"] = [("BASE_TYPE_MAX_LENGTH", f"Must be {_URL} or fewer in length.")]
    elif not _is_address(url):
        words = f"Scheme must be one of {_SCHEMES} and the URL be well formed."
        faults[f"{path}.url"] = [("URL_TYPE_INVALID_SCHEME", words)]


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in _SCHEMES and bool(parts.hostname) and url.isprintable() and " " not in url


def _length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
