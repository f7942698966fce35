"""Pipeline: where measurements come from, the application's own MeterProvider or one that we make."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from opentelemetry import metrics
from opentelemetry.sdk.environment_variables import OTEL_METRICS_EXEMPLAR_FILTER
from opentelemetry.sdk.metrics import MeterProvider, TraceBasedExemplarFilter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from otelmon.collect.locks import renew_after_forks
from otelmon.collect.meter import OwnMeter
from otelmon.collect.reader import Reader, offered_reader, wants_exponential
from otelmon.collect.resource import detected_attributes
from otelmon.faults import Faults, logger

_METER_NAME = "otelmon"
# The provider that this process set as the global one. It stays when otelmon stops: the global one is set only once a
# process, and the next start takes it up again.
_own: list[MeterProvider] = []


@dataclass(slots=True, kw_only=True)
class Pipeline:
    """A reader on a MeterProvider.

    ``portable`` is true where the provider is the application's; what it exports is the application's affair then.
    ``meter`` makes otelmon's own instruments. ``resource`` is whom the metrics are about. ``exponential`` is whether
    the standard variable asks for exponential histograms.
    """

    reader: Reader
    provider: MeterProvider
    meter: OwnMeter
    portable: bool
    resource: Resource
    exponential: bool
    _closed: bool = field(default=False)

    def close(self) -> None:
        """Take the reader off the provider and silence our instruments; a provider, ours or not, goes on.

        A provider cannot be replaced once it is the global one: shutting ours down would leave the application with
        none until it ends. Without a reader it records nothing. May be called again.
        """
        if self._closed:
            return
        self._closed = True
        self.meter.close()
        self.provider.remove_metric_reader(self.reader)


def open_pipeline(
    *,
    service_name: str,
    host: str,
    environment: str | None = None,
    portable: bool = False,
    environ: Mapping[str, str] | None = None,
    faults: Faults | None = None,
) -> Pipeline:
    """A reader on the application's SDK MeterProvider, or, when it has set none, on a new global one.

    ``portable`` says that the application measures with its own pipeline; where none is found in spite of it, one is
    made. A provider that the application has set is used and never replaced, whatever ``portable`` says. If that is
    not the SDK's and takes no readers, a warning is logged, and a provider that is not global serves otelmon's own
    instruments; the application's are out of reach then. ``environ`` is os.environ unless given.
    """
    environ = os.environ if environ is None else environ
    exponential = wants_exponential(environ)
    set_before = metrics.get_meter_provider()
    if isinstance(set_before, MeterProvider):
        own = set_before in _own
        offered = None if own else offered_reader()
        if offered is not None:
            offered.faults = faults or offered.faults
            return _pipeline(set_before, offered, portable=True, exponential=exponential)
        reader = Reader(exponential=exponential, exact_requests=not own, faults=faults)
        return _on_provider(set_before, reader, portable=not own, exponential=exponential)
    provider = _new_provider(_resource(service_name, environment, host, environ))
    reader = Reader(exponential=exponential, exact_requests=portable, faults=faults)
    # Instruments that the application made before have waited in the API's proxies; they begin to count here.
    pipeline = _on_provider(provider, reader, portable=False, exponential=exponential)
    if _is_unset(set_before):
        metrics.set_meter_provider(provider)
        _own.append(provider)
    else:
        kind = type(set_before)
        logger.warning(
            "the application's MeterProvider (%s.%s) is not the OpenTelemetry SDK's and takes no readers: its metrics "
            "cannot be alerted on",
            kind.__module__,
            kind.__qualname__,
        )
    return pipeline


def _on_provider(provider: MeterProvider, reader: Reader, *, portable: bool, exponential: bool) -> Pipeline:
    provider.add_metric_reader(reader)
    return _pipeline(provider, reader, portable=portable, exponential=exponential)


def _pipeline(provider: MeterProvider, reader: Reader, *, portable: bool, exponential: bool) -> Pipeline:
    renew_after_forks(provider)
    return Pipeline(
        reader=reader,
        provider=provider,
        meter=OwnMeter(provider, _METER_NAME, own_version()),
        portable=portable,
        resource=_resource_of(provider),
        exponential=exponential,
    )


def _new_provider(resource: Resource) -> MeterProvider:
    # Nothing waits in a provider whose only reader pulls, so there is nothing to shut down at exit.
    try:
        return MeterProvider(resource=resource, shutdown_on_exit=False)
    except ValueError as error:
        # The specification asks to warn of a value that is none and to go on without it; the SDK raises.
        logger.warning("otelmon: %s is ignored: %s", OTEL_METRICS_EXEMPLAR_FILTER, error)
        filter_ = TraceBasedExemplarFilter()
        return MeterProvider(resource=resource, shutdown_on_exit=False, exemplar_filter=filter_)


def _resource(service_name: str, environment: str | None, host: str, environ: Mapping[str, str]) -> Resource:
    """Ours, and OTEL_RESOURCE_ATTRIBUTES over it but for the name and the environment, which settings have decided."""
    declared = OTELResourceDetector().detect().attributes
    attributes = {"host.name": host, **detected_attributes(environ), **declared, "service.name": service_name}
    if environment:
        attributes["deployment.environment.name"] = environment
    return Resource.create(attributes)


def _resource_of(provider: MeterProvider) -> Resource:
    config = getattr(provider, "_sdk_config", None)
    resource = getattr(config, "resource", None)
    return resource if isinstance(resource, Resource) else Resource({})


def _is_unset(provider: metrics.MeterProvider) -> bool:
    """Whether nobody has set a provider: the API then answers with its proxy, which has no public type."""
    return type(provider).__name__ == "_ProxyMeterProvider"


def own_version() -> str | None:
    """The version of otelmon, as the scope of what it measures and emits; None where it is not installed."""
    try:
        return version("otelmon")
    except PackageNotFoundError:
        return None
