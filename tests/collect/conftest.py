from __future__ import annotations

import os

import pytest
from opentelemetry.metrics import _internal as api
from opentelemetry.util._once import Once

from otelmon.collect import pipeline


@pytest.fixture(autouse=True)
def _no_otel_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def unset_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which nobody has set a MeterProvider; it can be set only once, so the API's state is put aside."""
    monkeypatch.setattr(api, "_METER_PROVIDER", None)
    monkeypatch.setattr(api, "_METER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(api, "_PROXY_METER_PROVIDER", api._ProxyMeterProvider())
    monkeypatch.setattr(pipeline, "_own", [])
