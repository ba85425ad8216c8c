"""Rate limits: a bucket of tokens per service that slows down when the service complains."""

import threading
import time
from typing import Annotated, Any

import pytest
from lifecycle_sample import Echo, Thing, ThingInputs, TrialProvider

from provision.errors import PluginError
from provision.host.plugin.limits import RECOVERY_S, SLOWEST, Bucket
from provision.spi import Properties, Provider, RateLimit, StackField, Sticky, registry


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False


def bucket(per_second: float, burst: int = 1) -> tuple[Bucket, Clock]:
    clock = Clock()
    return Bucket(RateLimit(per_second, burst), clock), clock


def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    tokens, clock = bucket(2.0, 3)
    given = [tokens.take(clock.wait) for _ in range(7)]
    assert given == pytest.approx([100, 100, 100, 100.5, 101, 101.5, 102])


def test_time_without_calls_saves_no_more_than_a_burst() -> None:
    tokens, clock = bucket(10.0, 2)
    clock.now += 3600
    given = [tokens.take(clock.wait) for _ in range(3)]
    assert given == pytest.approx([3700, 3700, 3700.1])


def test_each_complaint_halves_the_rate_down_to_a_trickle() -> None:
    tokens, clock = bucket(64.0)
    for part in (1 / 2, 1 / 4, 1 / 8):
        clock.now += 1e-6
        tokens.slow_down(clock.now)
        assert tokens.per_second == pytest.approx(64 * part, rel=1e-3)
    for _ in range(20):
        clock.now += 1e-6
        tokens.slow_down(clock.now)
    assert tokens.per_second == pytest.approx(64 * SLOWEST, rel=1e-3)


def test_complaints_about_calls_from_before_count_once() -> None:
    tokens, clock = bucket(64.0, 100)
    calls = [tokens.take(clock.wait) for _ in range(50)]
    for since in calls:
        assert since is not None
        tokens.slow_down(since)
    assert tokens.per_second == pytest.approx(32.0)


def test_the_rate_grows_back() -> None:
    tokens, clock = bucket(64.0)
    tokens.slow_down(clock.now)
    clock.now += RECOVERY_S / 4
    assert tokens.per_second == pytest.approx(48.0)
    clock.now += RECOVERY_S
    assert tokens.per_second == pytest.approx(64.0)


def test_who_waits_already_waits_longer_after_a_complaint() -> None:
    tokens, clock = bucket(1.0)
    tokens.take(clock.wait)

    def wait(seconds: float) -> bool:
        tokens.slow_down(clock.now)
        return clock.wait(seconds)

    given = tokens.take(wait)
    assert given is not None
    assert given > 101.9


def test_waiting_ends_when_there_is_no_point_any_more() -> None:
    tokens, clock = bucket(0.001)
    assert tokens.take(clock.wait) is not None
    assert tokens.take(lambda seconds: True) is None


def test_many_threads_get_no_more_than_the_rate() -> None:
    tokens = Bucket(RateLimit(200.0, 10))
    given: list[float | None] = []

    def take() -> None:
        for _ in range(5):
            given.append(tokens.take(lambda seconds: bool(time.sleep(seconds))))

    threads = [threading.Thread(target=take) for _ in range(20)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 100
    assert time.monotonic() - started >= 90 / 200 - 0.01


# --- what a plugin declares is looked at when it is loaded


def declared(**changes: Any) -> type[Provider[Any, Any]]:
    """The sample provider with something wrong in its type or itself."""
    own = {key: changes.pop(key) for key in ("rate_limits", "functions") if key in changes}
    kind = type("Wrong", (Thing,), changes)
    return type("WrongProvider", (TrialProvider,), {"resource_types": (kind,), **own})


def sticky(mark: Any, default: Any = None) -> type[Properties]:
    """Inputs with a choice, or with what else an annotation says."""
    namespace = {"__annotations__": {"host": Annotated[str | None, mark]}, "host": default, "__module__": __name__}
    return type("Inputs", (ThingInputs,), namespace)


class Incomplete(Echo):
    token = "trial:echo:more"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"service": "other"}, "`Wrong.service` 'other' must be a name in `rate_limits`"),
        ({"rate_limits": {"things": RateLimit(0)}}, "`rate_limits` of 'things' must be a RateLimit of more than 0"),
        ({"timeouts": {"create": 3}}, "`Wrong.timeouts` must be provision.spi.Timeouts"),
        ({"retries": 3}, "`Wrong.retries` must be provision.spi.Retries"),
        ({"schema_version": 2, "upgrades": {1: lambda old: old}}, "there is none from 0"),
        ({"schema_version": 1, "upgrades": {0: lambda old: old, 1: lambda old: old}}, "has a step from 1, but"),
        ({"Query": None}, "`Wrong.Query` must be a subclass of provision.spi.Properties, beside `list`"),
        ({"functions": (Thing,)}, "must be a complete subclass of provision.spi.Function"),
        ({"functions": (Echo, Echo)}, "`Echo.token` 'trial:echo' is used twice"),
        ({"functions": (Incomplete,)}, "`Incomplete.token` must be 'module:name'"),
        ({"Inputs": sticky(Sticky(("name",)))}, "`Wrong.Inputs.host` is Sticky, so `Wrong` must have `choose`"),
        (
            {"Inputs": sticky(Sticky(("nme",))), "choose": lambda self, request: "x"},
            "`Wrong.Inputs.host` names 'nme', which is no input",
        ),
        (
            {"Inputs": sticky(Sticky(("name",)), "here"), "choose": lambda self, request: "x"},
            "is Sticky, so it must have the default None",
        ),
        ({"Inputs": sticky(StackField(("host",)))}, "`Wrong.Inputs.host` must name fields of machines or networks"),
        ({"Inputs": sticky(StackField(()))}, "`Wrong.Inputs.host` must name fields of machines or networks"),
    ],
)
def test_declarations_that_do_not_agree_are_named_when_a_plugin_is_loaded(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(PluginError) as refused:
        registry.check("trial", declared(**wrong))
    assert "plugin 'trial': " in str(refused.value)
    assert text in str(refused.value)


def test_declarations_that_agree_are_taken() -> None:
    registry.check("trial", declared(service="slow", schema_version=1, upgrades={0: lambda old: old}))
    registry.check("trial", declared(Inputs=sticky(Sticky(("name",))), choose=lambda self, request: "x"))
