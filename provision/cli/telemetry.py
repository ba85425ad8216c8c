"""Traces and metrics of runs by OpenTelemetry, for whoever watches over pipelines; off unless a collector is named.

The standard variables say where to: OTEL_EXPORTER_OTLP_ENDPOINT, or those for traces and metrics alone. What is sent
names resources and what was done to them; values of properties are never in it. The libraries are there with Pulumi's.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from provision.cli.event_log import Happening, Phase, Write
from provision.host.events import Message
from provision.host.told import NativeCall, Retry

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_SECONDS = 5
"""A collector that is away holds the end of a run up for so long at most, for traces and for metrics."""


def wanted(signal: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a person wants `traces` or `metrics` to be sent."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if environment.get(f"OTEL_{signal.upper()}_EXPORTER") == "none":
        return False
    return bool(environment.get(_ENDPOINT) or environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"))


def _nothing(event: Happening) -> None:
    """What is sent when nobody wants it."""


@contextmanager
def telemetry(command: str, project: str, stack: str) -> Iterator[Write]:
    """Send a trace of a run, with spans for steps on resources and native calls, and metrics; nothing unless wanted.

    A collector that is away never makes a run fail.
    """
    signals = [signal for signal in ("traces", "metrics") if wanted(signal)]
    if not signals:
        yield _nothing
        return
    import logging

    quiet = logging.getLogger("opentelemetry")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False  # what it says of a collector that is away is no part of the output
    with ExitStack() as ending:
        tracers, meters = _providers(signals)
        if tracers is not None:
            ending.callback(_ended, tracers)
        if meters is not None:
            ending.callback(_ended, meters)
        with observed(command, {"provision.project": project, "provision.stack": stack}, tracers, meters) as tell:
            yield tell


def _ended(provider: "TracerProvider | MeterProvider") -> None:
    provider.force_flush(_SECONDS * 1000)
    provider.shutdown()


def _providers(signals: list[str]) -> "tuple[TracerProvider | None, MeterProvider | None]":
    from importlib.metadata import version

    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    tracers: TracerProvider | None = None
    meters: MeterProvider | None = None
    resource = Resource.create({"service.name": "provision", "service.version": version("provision")})
    if "traces" in signals:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=_SECONDS)))
    if "metrics" in signals:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        reader = PeriodicExportingMetricReader(
            OTLPMetricExporter(timeout=_SECONDS), export_timeout_millis=_SECONDS * 1000
        )
        meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    return tracers, meters


@contextmanager
def observed(
    command: str, about: Mapping[str, str], tracers: "TracerProvider | None", meters: "MeterProvider | None"
) -> Iterator[Write]:
    """The same with providers of one's own.

    Args:
        command: the run.
        about: attributes of it.
        tracers: makes spans; None for none.
        meters: counts steps and takes their time; None for none.
    """
    from opentelemetry import metrics, trace

    tracer = (tracers or trace.NoOpTracerProvider()).get_tracer("provision")
    meter = (meters or metrics.NoOpMeterProvider()).get_meter("provision")
    durations = meter.create_histogram("provision.step.duration", "s", "How long a step on a resource took.")
    messages = meter.create_counter("provision.messages", "{message}", "What was said on the way, such as of retries.")
    calls = meter.create_histogram("provision.call.duration", "s", "How long a call of the platform's API took.")
    retries = meter.create_counter("provision.retries", "{retry}", "What plugins have tried again.")
    open_spans: dict[str, tuple[Any, float]] = {}
    latest: dict[str, Any] = {}  # what plugins tell may come after the engine has told that the step is done

    def _call(event: NativeCall, parent: Any) -> None:
        begun = int(event.begun * 1e9)
        span = tracer.start_span(event.name, trace.set_span_in_context(parent), trace.SpanKind.CLIENT, start_time=begun)
        if event.failure:
            span.set_attribute("error.type", event.failure)
            span.set_status(trace.StatusCode.ERROR)
        span.end(begun + int(event.seconds * 1e9))

    with tracer.start_as_current_span(f"provision {command}", attributes=dict(about)) as whole:

        def tell(event: Happening) -> None:
            if isinstance(event, Phase):
                span = tracer.start_span(
                    event.name,
                    trace.set_span_in_context(whole),
                    attributes={"provision.parts": event.parts},
                    start_time=int(event.begun * 1e9),
                )
                span.end(int((event.begun + event.seconds) * 1e9))
                return
            if isinstance(event, NativeCall):
                _call(event, latest.get(event.urn, whole))
                calls.record(event.seconds, {**about, "provision.call": event.name, "provision.failure": event.failure})
                return
            if isinstance(event, Retry):
                span = open_spans[event.urn][0] if event.urn in open_spans else whole
                told = {"provision.operation": event.operation, "provision.failure": event.failure}
                span.add_event("retry", {**told, "attempt": event.attempt, "wait": event.seconds})
                retries.add(1, {**about, **told})
                return
            if isinstance(event, Message):
                span = open_spans[event.urn][0] if event.urn in open_spans else whole
                span.add_event("message", {"severity": event.severity, "text": event.text})
                messages.add(1, {**about, "severity": event.severity})
                return
            about_step = {"provision.operation": event.op, "provision.type": event.type}
            if event.phase == "started":
                span = tracer.start_span(
                    f"{event.op} {event.name}",
                    trace.set_span_in_context(whole),
                    attributes={**about_step, "provision.name": event.name, "provision.urn": event.urn},
                )
                open_spans[event.urn] = span, time.monotonic()
                latest[event.urn] = span
            elif event.urn in open_spans:
                span, begun = open_spans.pop(event.urn)
                span.set_attribute("provision.properties", [change.path for change in event.changes])
                if event.phase == "failed":
                    span.set_status(trace.StatusCode.ERROR)
                    whole.set_status(trace.StatusCode.ERROR)
                span.end()
                outcome = {**about, **about_step, "provision.outcome": event.phase}
                durations.record(time.monotonic() - begun, outcome)

        try:
            yield tell
        finally:
            for span, _ in open_spans.values():  # what was cut short
                span.end()
