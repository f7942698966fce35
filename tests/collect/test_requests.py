from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

from otelmon.collect.requests import (
    MOST_BUCKETS,
    RequestTranslation,
    cell_attributes,
    dense_buckets,
    native_histogram,
    request_metrics,
)
from otelmon.collect.translate import Translation
from otelmon.instrument.model import BOUNDS, SCALE, ActiveCell, Traffic
from tests.collect.making import START, by_text, cell, data_of, snapshot

AT = START + 60
LABELS = 'http_request_method="GET", http_response_status_code="200", http_route="/orders/{id}", url_scheme="https"'
NAME = "http_server_request_duration_seconds"


@pytest.fixture
def translation() -> RequestTranslation:
    return RequestTranslation(job="shop", instance="h1")


def values(translation: RequestTranslation, *cells: object, **more: object) -> dict[str, object]:
    return {
        str(labels.without(["job", "instance"])): value
        for point in translation.points(snapshot(*cells, **more))  # type: ignore[arg-type]
        for labels, value in zip(point.series, point.values, strict=True)
    }


def test_a_cell_has_semconv_attributes_and_leaves_out_what_is_not_known() -> None:
    assert cell_attributes(cell([0.1], status=500, error_type="ValueError")) == {
        "http.request.method": "GET",
        "http.route": "/orders/{id}",
        "http.response.status_code": 500,
        "error.type": "ValueError",
        "url.scheme": "https",
    }
    assert cell_attributes(cell([0.1], status=0, route="")) == {"http.request.method": "GET", "url.scheme": "https"}
    assert cell_attributes(cell([0.1], overflow=True)) == {"otel.metric.overflow": True}


def test_a_request_gives_the_native_and_the_classic_series_once_each(translation: RequestTranslation) -> None:
    found = values(translation, cell([0.003, 0.2, 20.0]))
    assert found[f"{NAME}_count{{{LABELS}}}"] == 3.0
    assert found[f"{NAME}_sum{{{LABELS}}}"] == pytest.approx(20.203)
    assert found[f"{NAME}{{{LABELS}}}"] == native_histogram(cell([0.003, 0.2, 20.0]))
    buckets = {text: value for text, value in found.items() if text.startswith(f"{NAME}_bucket")}
    assert len(found) == 3 + len(buckets) == 3 + len(BOUNDS) + 1
    by_bound = {text.split('le="')[1].split('"')[0]: value for text, value in buckets.items()}
    assert by_bound["0.005"] == 1.0
    assert by_bound["0.25"] == by_bound["10.0"] == 2.0
    assert by_bound["+Inf"] == 3.0


def test_a_response_that_never_started_has_no_status_label(translation: RequestTranslation) -> None:
    found = values(translation, cell([0.1], status=0, error_type="RuntimeError"))
    count = next(text for text in found if text.startswith(f"{NAME}_count"))
    assert "status" not in count
    assert 'error_type="RuntimeError"' in count


def test_streams_and_websockets_are_metrics_of_their_own(translation: RequestTranslation) -> None:
    found = values(
        translation, cell([60.0], traffic=Traffic.EVENT_STREAM), cell([600.0], traffic=Traffic.WEBSOCKET, status=101)
    )
    names = {text.split("{")[0] for text in found}
    assert names == {
        f"otelmon_{kind}_duration_seconds{suffix}"
        for kind in ("event_stream", "websocket")
        for suffix in ("", "_count", "_sum", "_bucket")
    }


def test_requests_in_flight_are_a_gauge_by_method_and_scheme(translation: RequestTranslation) -> None:
    active = [ActiveCell(traffic=Traffic.REQUEST, method="GET", scheme="https", count=4)]
    found = values(translation, active=active)
    assert found == {'http_server_active_requests{http_request_method="GET", url_scheme="https"}': 4.0}


def test_an_idle_cell_is_not_converted_again_and_a_busy_one_is(translation: RequestTranslation) -> None:
    (first,) = translation.points(snapshot(cell([0.1])))
    # Nothing counts without a change of count and sum, so that other buckets come to light shows a conversion.
    (idle,) = translation.points(snapshot(replace(cell([0.1]), explicit=(1,) * 15)))
    (busy,) = translation.points(snapshot(cell([0.1, 0.2])))
    assert idle.values == first.values
    assert busy.series is first.series
    assert busy.values[0] == 2.0


@pytest.mark.parametrize("exponential", [False, True])
def test_the_exported_form_is_what_the_sdk_and_the_one_translation_would_give(exponential: bool) -> None:
    taken = snapshot(
        cell([0.003, 0.2, 20.0]), active=[ActiveCell(traffic=Traffic.REQUEST, method="GET", scheme="https", count=1)]
    )
    exported = by_text(
        Translation(job="shop", instance="h1").samples(
            data_of(*request_metrics(taken, at=AT, exponential=exponential)), AT
        )
    )
    direct = {
        str(labels.without(["job", "instance"])): value
        for point in RequestTranslation(job="shop", instance="h1").points(taken)
        for labels, value in zip(point.series, point.values, strict=True)
    }
    assert {text: direct[text] for text in exported if text != f"{NAME}{{{LABELS}}}"} == {
        text: value for text, value in exported.items() if text != f"{NAME}{{{LABELS}}}"
    }
    assert (f"{NAME}{{{LABELS}}}" in exported) is exponential
    # What the encoder refuses would be lost.
    assert encode_metrics(data_of(*request_metrics(taken, at=AT, exponential=exponential))).ByteSize() > 0


def test_a_wide_histogram_is_merged_for_export_only() -> None:
    wide = cell([0.0003, 30.0])
    scale, buckets = dense_buckets(wide.exponential, SCALE)
    assert scale < SCALE
    assert len(buckets.bucket_counts) <= MOST_BUCKETS
    assert native_histogram(wide).scale == SCALE


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(min_value=1e-6, max_value=1e5), min_size=1, max_size=40))
def test_merging_buckets_keeps_every_value_within_its_bucket(seconds: list[float]) -> None:
    measured = cell(seconds)
    scale, buckets = dense_buckets(measured.exponential, SCALE)
    assert sum(buckets.bucket_counts) == len(seconds)
    assert len(buckets.bucket_counts) <= MOST_BUCKETS
    base = 2.0 ** (2.0**-scale)
    for value in seconds:
        exact = math.log2(value) * 2.0**scale
        position = math.ceil(round(exact, 9)) - 1 - buckets.offset
        assert 0 <= position < len(buckets.bucket_counts)
        assert buckets.bucket_counts[position] > 0
        assert value <= base ** (position + buckets.offset + 1) * (1 + 1e-9)
