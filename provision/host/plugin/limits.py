"""How often a platform's services are called: one bucket of tokens each, slower after every "too often"."""

import threading
import time
from collections.abc import Callable, Mapping

from provision.errors import PluginError
from provision.spi.provider import RateLimit

SLOWEST = 1 / 1024
"""However often a service complains, it is called at this part of its rate."""

RECOVERY_S = 120.0
"""How long a service that is called at no more than a trickle takes to its full rate again."""


class Bucket:
    """Tokens of one service, given out in the order in which they were asked for; used from many threads."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with a full bucket; `clock` in seconds."""
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._share = 1.0
        self._produced = float(max(limit.burst, 1))
        self._asked = 0
        self._seen = clock()
        self._slowed = self._seen - 1.0

    @property
    def per_second(self) -> float:
        """Tokens a second as things are."""
        with self._lock:
            self._catch_up()
            return self._limit.per_second * self._share

    def take(self, wait: Callable[[float], bool]) -> float | None:
        """Wait for a token.

        Args:
            wait: sleeps for some seconds; true when there is no point in waiting any longer.

        Returns:
            When the token was given, for `slow_down`; None when the waiting was ended without one.
        """
        with self._lock:
            self._catch_up()
            self._asked += 1
            mine = self._asked
        while True:
            with self._lock:
                self._catch_up()
                # What many threads add up in small parts may lack the last digit of a whole token.
                missing = mine - self._produced
                if missing <= 1e-6:
                    return self._clock()
                pause = missing / (self._limit.per_second * self._share)
            if wait(pause):
                return None

    def slow_down(self, since: float) -> None:
        """A call that had its token at `since` came too often: go on at half the rate.

        Calls that were under way when the rate was halved say nothing new: many complaints at once are one.
        """
        with self._lock:
            self._catch_up()
            if since > self._slowed:
                self._share = max(self._share / 2, SLOWEST)
                self._slowed = self._clock()

    def _catch_up(self) -> None:
        now = self._clock()
        passed, self._seen = max(now - self._seen, 0.0), now
        before = self._share
        self._share = min(1.0, before + passed / RECOVERY_S)
        grown = self._limit.per_second * passed * (before + self._share) / 2
        self._produced = min(self._produced + grown, self._asked + float(max(self._limit.burst, 1)))


class Limits:
    """The buckets of one provider."""

    def __init__(self, plugin: str, limits: Mapping[str, RateLimit]) -> None:
        """Of the plugin called `plugin`."""
        self._plugin = plugin
        self._buckets = {name: Bucket(limit) for name, limit in limits.items()}

    def bucket(self, service: str) -> Bucket:
        """The bucket of a service.

        Raises:
            PluginError: the provider declares no such service.
        """
        if service not in self._buckets:
            known = ", ".join(self._buckets) or "none"
            raise PluginError(
                f"plugin '{self._plugin}': service '{service}' is not in `rate_limits`, which has {known}",
                "report this to the plugin's author",
            )
        return self._buckets[service]
