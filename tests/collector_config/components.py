"""What components of the OpenTelemetry Collector there are, and which options they take: data.

Source: README.md, config.go and metadata.yaml of each component in opentelemetry-collector v0.135.0 (with its
confighttp, configgrpc, configtls, configretry and exporterhelper) and opentelemetry-collector-contrib v0.135.0. It is
written down from knowledge of these, not generated from them: a collector's own `validate` is the judge, where there is
one (test_real_collector.py). Only components that the files here may use are listed, each whole. None is a value, or
options that are not looked into; "*" is any key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

VERSION = "0.135.0"

Shape = dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """``signals`` go through it; of a connector, (in, out) pairs."""

    signals: frozenset[str]
    options: dict[str, Shape]
    pairs: frozenset[tuple[str, str]] = frozenset()


def _keys(words: str) -> dict[str, Shape]:
    return dict.fromkeys(words.split())


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


ALL = frozenset({"traces", "metrics", "logs"})
METRICS = frozenset({"metrics"})

_TLS_CLIENT = _keys(
    "insecure insecure_skip_verify server_name_override ca_file ca_pem cert_file cert_pem key_file key_pem min_version"
    " max_version cipher_suites curve_preferences include_system_ca_certs_pool reload_interval tpm"
)
_TLS_SERVER = _TLS_CLIENT | _keys("client_ca_file client_ca_file_reload")
_BATCH_OF_QUEUE = _keys("flush_timeout min_size max_size sizer")
_QUEUE = _keys("enabled num_consumers queue_size storage block_on_overflow wait_for_result sizer") | {
    "batch": _BATCH_OF_QUEUE
}
_RETRY = _keys("enabled initial_interval randomization_factor multiplier max_interval max_elapsed_time")
_GRPC_SERVER = _keys(
    "endpoint transport max_recv_msg_size_mib max_concurrent_streams read_buffer_size write_buffer_size keepalive auth"
    " include_metadata middlewares dialer"
) | {"tls": _TLS_SERVER}
_HTTP_SERVER = _keys(
    "endpoint cors auth max_request_body_size include_metadata response_headers compression_algorithms read_timeout"
    " read_header_timeout write_timeout idle_timeout keep_alives_enabled middlewares"
) | {"tls": _TLS_SERVER}
_EXPORTER = {"sending_queue": _QUEUE, "retry_on_failure": _RETRY, "tls": _TLS_CLIENT, "headers": {"*": None}}
_FILTERED = {"match_type": None, "regexp": None}

RECEIVERS = {
    "otlp": Component(
        signals=ALL,
        options={
            "protocols": {
                "grpc": _GRPC_SERVER,
                "http": _HTTP_SERVER | _keys("traces_url_path metrics_url_path logs_url_path"),
            }
        },
    ),
    "hostmetrics": Component(
        signals=METRICS,
        options={
            **_keys("collection_interval initial_delay timeout root_path metadata_collection_interval"),
            "scrapers": {
                "cpu": {"metrics": {"*": _keys("enabled")}},
                "memory": {"metrics": {"*": _keys("enabled")}},
                "load": {"metrics": {"*": _keys("enabled")}, "cpu_average": None},
                "paging": {"metrics": {"*": _keys("enabled")}},
                "processes": {"metrics": {"*": _keys("enabled")}},
                "system": {"metrics": {"*": _keys("enabled")}},
                "disk": {
                    "metrics": {"*": _keys("enabled")},
                    "include": {**_FILTERED, "devices": None},
                    "exclude": {**_FILTERED, "devices": None},
                },
                "network": {
                    "metrics": {"*": _keys("enabled")},
                    "include": {**_FILTERED, "interfaces": None},
                    "exclude": {**_FILTERED, "interfaces": None},
                },
                "filesystem": {
                    "metrics": {"*": _keys("enabled")},
                    "include_virtual_filesystems": None,
                    **{
                        f"{word}_{what}": {**_FILTERED, what: None}
                        for word in ("include", "exclude")
                        for what in ("devices", "fs_types", "mount_points")
                    },
                },
            },
        },
    ),
    "prometheus": Component(
        signals=METRICS,
        # `config` is Prometheus's own, which promtool checks.
        options=_keys("config trim_metric_suffixes report_extra_scrape_metrics target_allocator api_server"),
    ),
}

PROCESSORS = {
    "memory_limiter": Component(
        signals=ALL,
        options=_keys(
            "check_interval limit_mib spike_limit_mib limit_percentage spike_limit_percentage"
            " min_gc_interval_when_soft_limited min_gc_interval_when_hard_limited"
        ),
    ),
    "batch": Component(
        signals=ALL,
        options=_keys("timeout send_batch_size send_batch_max_size metadata_keys metadata_cardinality_limit"),
    ),
    "resourcedetection": Component(
        signals=ALL,
        options={
            **_keys("detectors override timeout refresh_interval"),
            "system": {"hostname_sources": None, "resource_attributes": {"*": _keys("enabled")}},
        },
    ),
    "resource": Component(
        signals=ALL,
        options={"attributes": _keys("key value from_attribute from_context converted_type pattern action")},
    ),
    "transform": Component(
        signals=ALL,
        options=_keys("error_mode flatten_data trace_statements metric_statements log_statements"),
    ),
    "filter": Component(
        signals=ALL,
        options={
            "error_mode": None,
            "traces": _keys("span spanevent"),
            "metrics": _keys("metric datapoint"),
            "logs": _keys("log_record"),
        },
    ),
    "k8sattributes": Component(
        signals=ALL,
        options={
            **_keys("auth_type passthrough wait_for_metadata wait_for_metadata_timeout"),
            "filter": _keys("node node_from_env_var namespace fields labels"),
            "extract": _keys("metadata annotations labels otel_annotations deployment_name_from_replicaset"),
            "pod_association": {"sources": _keys("from name")},
            "exclude": _keys("pods"),
        },
    ),
}

EXPORTERS = {
    "otlp": Component(
        signals=ALL,
        options={
            **_keys(
                "endpoint timeout compression keepalive read_buffer_size write_buffer_size wait_for_ready balancer_name"
                " authority auth middlewares"
            ),
            **_EXPORTER,
        },
    ),
    "otlphttp": Component(
        signals=ALL,
        options={
            **_keys(
                "endpoint traces_endpoint metrics_endpoint logs_endpoint timeout compression compression_params"
                " encoding proxy_url read_buffer_size write_buffer_size auth max_idle_conns max_idle_conns_per_host"
                " max_conns_per_host idle_conn_timeout disable_keep_alives http2_read_idle_timeout http2_ping_timeout"
                " cookies force_attempt_http2 middlewares"
            ),
            **_EXPORTER,
        },
    ),
}

CONNECTORS = {
    "forward": Component(signals=ALL, options={}, pairs=frozenset((each, each) for each in ALL)),
    "spanmetrics": Component(
        signals=ALL,
        pairs=frozenset({("traces", "metrics")}),
        options={
            **_keys(
                "exclude_dimensions dimensions_cache_size aggregation_cardinality_limit aggregation_temporality"
                " metrics_flush_interval metrics_expiration metric_timestamp_cache_size namespace"
                " include_instrumentation_scope resource_metrics_cache_size resource_metrics_key_attributes"
            ),
            "dimensions": _keys("name default"),
            "calls_dimensions": _keys("name default"),
            "histogram": {
                **_keys("disable unit"),
                "dimensions": _keys("name default"),
                "explicit": _keys("buckets"),
                "exponential": _keys("max_size"),
            },
            "exemplars": _keys("enabled max_per_data_point"),
            "events": {"enabled": None, "dimensions": _keys("name default")},
        },
    ),
}

EXTENSIONS = {
    "health_check": Component(
        signals=frozenset(),
        options={**_HTTP_SERVER, **_keys("path response_body check_collector_pipeline")},
    ),
    "file_storage": Component(
        signals=frozenset(),
        options={
            **_keys("directory timeout fsync create_directory directory_permissions"),
            "compaction": _keys(
                "on_start on_rebound directory rebound_needed_threshold_mib rebound_trigger_threshold_mib"
                " max_transaction_size check_interval cleanup_on_start"
            ),
        },
    ),
}

CLASSES = {
    "receivers": RECEIVERS,
    "processors": PROCESSORS,
    "exporters": EXPORTERS,
    "connectors": CONNECTORS,
    "extensions": EXTENSIONS,
}
SERVICE: dict[str, Shape] = {
    "extensions": None,
    "pipelines": {"*": _keys("receivers processors exporters")},
    "telemetry": {
        "logs": None,
        "metrics": _keys("level readers views"),
        "traces": None,
        "resource": None,
    },
}

DETECTORS = _words(
    "env system docker heroku gcp ec2 ecs elastic_beanstalk eks lambda azure aks consul k8snode kubeadm openshift nova"
    " dynatrace hetzner akamai scaleway upcloud vultr digitalocean oraclecloud"
)
# OTTL: editors act, converters give a value; the few that are used here, and where their paths begin.
OTTL_FUNCTIONS = _words(
    "set delete_key delete_matching_keys keep_keys replace_pattern limit truncate_all merge_maps copy_metric"
    " IsMatch Concat String Int Double Len Split"
)
OTTL_PATHS = _words("resource scope span spanevent metric datapoint log")
# In filter's lists the context is given, and paths are written without it.
FILTER_PATHS = {
    "span": _words("attributes kind name status resource"),
    "metric": _words("name type unit description resource"),
    "datapoint": _words("attributes metric resource"),
    "log_record": _words("attributes body severity_number resource"),
}
SPAN_KINDS = _words(
    "SPAN_KIND_UNSPECIFIED SPAN_KIND_INTERNAL SPAN_KIND_SERVER SPAN_KIND_CLIENT SPAN_KIND_PRODUCER SPAN_KIND_CONSUMER"
)
