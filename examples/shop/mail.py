"""The job that workers of RQ run."""

from __future__ import annotations


def send_confirmation(address: str) -> str:
    """Would send a mail."""
    return f"sent to {address}"
