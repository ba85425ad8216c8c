"""Traces and metrics of runs: off by default, sent to a collector by its protocol, and without values."""

import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from provision.cli.event_log import Phase
from provision.cli.telemetry import telemetry, wanted
from provision.host.events import Message, PropertyChange, ResourceStep
from provision.host.told import NativeCall, Retry

URN = "urn:pulumi:dev::shop::provision:index:Machine$provision-memory:compute:Server::machines/{}/server"
WEB, DB = URN.format("web"), URN.format("db")


class Collector:
    """A collector on this machine, which keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.points: dict[str, list[Any]] = {}
        self.there = threading.Lock()

    def Traces(self, request: Any, context: Any) -> Any:
        with self.there:
            self.spans += [s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def Metrics(self, request: Any, context: Any) -> Any:
        with self.there:
            for metric in [m for r in request.resource_metrics for scope in r.scope_metrics for m in scope.metrics]:
                data = metric.histogram if metric.HasField("histogram") else metric.sum
                self.points[metric.name] = list(data.data_points)
        return metrics_service_pb2.ExportMetricsServiceResponse()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import os

    for name in list(os.environ):
        if name.startswith("OTEL_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    logger = logging.getLogger("opentelemetry")
    before = logger.handlers[:], logger.propagate
    yield
    logger.handlers[:], logger.propagate = before


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    own = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    traces = type("Traces", (trace_service_pb2_grpc.TraceServiceServicer,), {"Export": staticmethod(own.Traces)})
    metrics = type("Metrics", (metrics_service_pb2_grpc.MetricsServiceServicer,), {"Export": staticmethod(own.Metrics)})
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(traces(), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(metrics(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    yield own
    server.stop(None).wait()


def attributes(found: Any) -> dict[str, Any]:
    return {item.key: item.value.string_value for item in found.attributes}


def test_a_run_is_a_trace_with_a_span_for_every_step(collector: Collector) -> None:
    with telemetry("up", "shop", "dev") as tell:
        tell(ResourceStep("started", "update", WEB, (PropertyChange("memoryMib", "hush → 64"),)))
        tell(ResourceStep("started", "create", DB))
        tell(Message("warning", "throttled, trying again", WEB))
        tell(Message("info", "of the whole run"))
        tell(ResourceStep("done", "update", WEB, (PropertyChange("memoryMib", "hush → 64"),)))
        tell(ResourceStep("failed", "create", DB))
    spans = {span.name: span for span in collector.spans}
    assert set(spans) == {"provision up", "update machines/web/server", "create machines/db/server"}
    whole, web, db = (
        spans[name] for name in ("provision up", "update machines/web/server", "create machines/db/server")
    )
    assert attributes(whole) == {"provision.project": "shop", "provision.stack": "dev"}
    assert {span.parent_span_id for span in (web, db)} == {whole.span_id}
    assert attributes(web)["provision.type"] == "provision-memory:compute:Server"
    assert [attributes(event)["text"] for event in web.events] == ["throttled, trying again"]
    assert [attributes(event)["text"] for event in whole.events] == ["of the whole run"]
    error = 2
    assert (web.status.code, db.status.code, whole.status.code) == (0, error, error)
    assert web.end_time_unix_nano >= web.start_time_unix_nano
    assert "hush" not in str(collector.spans)
    outcomes = [attributes(point)["provision.outcome"] for point in collector.points["provision.step.duration"]]
    assert sorted(outcomes) == ["done", "failed"]
    assert sum(point.as_int for point in collector.points["provision.messages"]) == 2


def test_native_calls_are_spans_within_those_of_their_resources_and_retries_are_counted(collector: Collector) -> None:
    with telemetry("up", "shop", "dev") as tell:
        tell(ResourceStep("started", "create", DB))
        tell(NativeCall("ec2.RunInstances", DB, 1e9, 0.5, "RequestLimitExceeded"))
        tell(Retry(DB, "create", 1, 2.0, "Throttled"))
        tell(ResourceStep("done", "create", DB))
        tell(NativeCall("ec2.CreateTags", DB, 1e9 + 3, 0.25))  # told by another process, so it may come late
        tell(NativeCall("ec2.DescribeInstances", "", 1e9, 1.0))
        tell(Phase("probing", 3, 1e9, 0.25))
    spans = {span.name: span for span in collector.spans}
    step, run = spans["create machines/db/server"], spans["provision up"]
    assert spans["ec2.RunInstances"].parent_span_id == spans["ec2.CreateTags"].parent_span_id == step.span_id
    assert spans["ec2.DescribeInstances"].parent_span_id == run.span_id
    phase = spans["probing"]
    assert (phase.parent_span_id, phase.end_time_unix_nano - phase.start_time_unix_nano) == (run.span_id, 250_000_000)
    failed = spans["ec2.RunInstances"]
    assert (failed.end_time_unix_nano - failed.start_time_unix_nano, failed.status.code) == (500_000_000, 2)
    assert attributes(failed) == {"error.type": "RequestLimitExceeded"}
    assert [attributes(event)["provision.failure"] for event in step.events] == ["Throttled"]
    durations = {attributes(p)["provision.call"]: p.sum for p in collector.points["provision.call.duration"]}
    assert durations == {"ec2.RunInstances": 0.5, "ec2.CreateTags": 0.25, "ec2.DescribeInstances": 1.0}
    assert sum(point.as_int for point in collector.points["provision.retries"]) == 1


def test_what_was_cut_short_is_told_too(collector: Collector) -> None:
    def run() -> None:
        with telemetry("up", "shop", "dev") as tell:
            tell(ResourceStep("started", "create", DB))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run()
    assert {span.name for span in collector.spans} == {"provision up", "create machines/db/server"}


@pytest.mark.parametrize("also", ["metrics", "traces"])
def test_one_of_both_can_be_left_out(collector: Collector, monkeypatch: pytest.MonkeyPatch, also: str) -> None:
    monkeypatch.setenv(f"OTEL_{also.upper()}_EXPORTER", "none")
    with telemetry("up", "shop", "dev") as tell:
        tell(Message("info", "hello"))
    assert (bool(collector.points), bool(collector.spans)) == (also == "traces", also == "metrics")


def test_a_collector_that_is_away_stops_no_run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("provision.cli.telemetry._SECONDS", 1)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    with telemetry("up", "shop", "dev") as tell:
        tell(ResourceStep("started", "create", DB))
    assert capfd.readouterr() == ("", "")


def test_nothing_is_sent_or_imported_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with telemetry("up", "shop", "dev") as tell:
        tell(Message("info", "hello"))
    assert wanted("traces", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4317"})
    assert not wanted("metrics", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4317"})
    assert not wanted("traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_SDK_DISABLED": "true"})
