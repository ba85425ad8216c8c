"""What all calls of a plugin share: the session, the threads, the log, and what becomes of a failure."""

import asyncio
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Any, TypeVar

import grpc

from provision.errors import CreatedButUnhealthy
from provision.host.aborting import Abort
from provision.host.permission import permission
from provision.host.plugin.calls import Calls
from provision.host.plugin.engine_log import EngineLog, Log, Silent
from provision.host.plugin.failures import abort_for
from provision.host.plugin.functions import DataFunction
from provision.host.plugin.limits import Limits
from provision.host.plugin.listing import Searches
from provision.host.plugin.masking import Masker, Secrets
from provision.host.plugin.resources import Resource
from provision.host.plugin.responses import init_failed
from provision.host.plugin.running import Running, operation
from provision.host.plugin.shapes import Shape
from provision.host.plugin.state import Unhealthy
from provision.spi.provider import Provider
from provision.spi.resource import ResourceType

R = TypeVar("R")


class Host:
    """One provider plugin and everything of it that is under way."""

    def __init__(
        self,
        provider: Provider[Any, Any],
        framework_types: Callable[[], Sequence[type[ResourceType[Any, Any, Any]]]] = tuple,
        log: Log | None = None,
    ) -> None:
        """Serve `provider`, and beside its own types those of the framework, which are only imported when needed."""
        self.provider = provider
        self.package = f"provision-{provider.name}"
        self._own = {kind.token: Resource(kind, provider.name) for kind in provider.resource_types}
        self._framework_types = framework_types
        self.functions = {kind.token: DataFunction(kind, provider.name) for kind in provider.functions}
        self.calls = Calls()
        self._limits = Limits(provider.name, provider.rate_limits)
        self._searches = Searches()
        self._log: Log = log or Silent()
        self._session: Any = None
        self._connected = False
        self._config_secrets: tuple[str, ...] = ()
        self.permission = permission(None)
        """Whose data may be destroyed."""

    @cached_property
    def resources(self) -> Mapping[str, Resource]:
        """Everything that is served, by token."""
        return self._own | {kind.token: Resource(kind, self.provider.name) for kind in self._framework_types()}

    @property
    def cancelled(self) -> threading.Event:
        """Set when the engine has cancelled the run."""
        return self.calls.cancelled

    async def attach(self, address: str) -> None:
        """Send texts to the engine at `address` from now on."""
        former = self._log
        if address:
            self._log = EngineLog(address)
            if isinstance(former, EngineLog):
                await former.close()

    async def close(self) -> None:
        """Let go of the platform and the engine."""
        self.calls.cancel()
        if self._connected:
            self._connected = False
            # Not in the loop's own threads: those are waited for when the loop ends, however long that takes.
            disconnect = asyncio.create_task(self.calls.ask(lambda: self.provider.disconnect(self._session)))
            await asyncio.wait([disconnect], timeout=2)
        if isinstance(self._log, EngineLog):
            await self._log.close()
        self.calls.close()

    def _resource(self, kind: str, urn: str) -> Resource:
        full = kind or _type_of(urn)
        token = full.removeprefix(f"{self.package}:")
        if token in self._own:
            return self._own[token]
        if token not in self.resources:
            raise self._not_offered("resource type", token, list(self.resources))
        return self.resources[token]

    def _masker(self, *values: tuple[Mapping[str, Any], Shape]) -> Masker:
        return Masker(Secrets(self._config_secrets, values))

    def _must_be_connected(self) -> None:
        if not self._connected:
            raise Abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"platform '{self.provider.name}' is not connected: its configuration is not known yet",
            )

    def _operation(
        self,
        action: str,
        subject: str,
        mask: Masker,
        urn: str = "",
        timeout: float = 0,
        kind: type[ResourceType[Any, Any, Any]] | None = None,
        service: str = "",
    ) -> Running:
        """An operation; `timeout` are the seconds that the program gives it, 0 for those of the type."""
        return operation(
            urn,
            self._session,
            timeout or (getattr(kind.timeouts, action, None) if kind else None),
            self._log,
            mask,
            action=action,
            subject=subject,
            retries=kind.retries if kind else None,
            service=kind.service if kind else service,
            limits=self._limits,
        )

    async def _run(
        self,
        action: str,
        subject: str,
        mask: Masker,
        work: Callable[[], R],
        urn: str = "",
        running: Running | None = None,
        keep: Callable[[CreatedButUnhealthy], Unhealthy] | None = None,
    ) -> R:
        """Do the work in a thread, and make a status of whatever goes wrong.

        Args:
            action: what is done.
            subject: to what.
            mask: hides secrets.
            work: what to do.
            urn: of the resource.
            running: the operation; without one the work is a question that only needs this process.
            keep: makes what is recorded of an object whose `create` nobody waits for any more.
        """
        try:
            if running is None:
                return await self.calls.ask(work)
            result = await self.calls.run(work, running)
            if running.late and running.action in ("create", "update", "delete"):
                limit = f"its time limit of {running.limit:.3g} s"
                self._log.warning(running.urn, f"{running.action} took longer than {limit}")
            return result
        except Unhealthy as error:
            raise init_failed(error, mask) from None
        except Exception as error:
            if keep is not None and isinstance(error, CreatedButUnhealthy):
                raise init_failed(keep(error), mask) from None
            self._log.debug(urn, mask("".join(traceback.format_exception(error))))
            raise abort_for(
                error, plugin=self.provider.name, subject=subject, action=action, mask=mask, running=running
            ) from None
        finally:
            # Lasting lines are said before the call ends: after the last one nobody listens.
            await self._log.flush()

    def _not_offered(self, what: str, token: str, known: Sequence[str] = ()) -> Abort:
        close = get_close_matches(token, known, 1)
        has = f"it has {', '.join(known)}" if known else f"it offers resources: {', '.join(self.resources)}"
        return Abort(
            grpc.StatusCode.INVALID_ARGUMENT if known else grpc.StatusCode.UNIMPLEMENTED,
            f"{self.package} has no {what} '{token}'\n  fix: " + (f"did you mean '{close[0]}'?" if close else has),
        )


def _type_of(urn: str) -> str:
    """The type in a URN: what is between the second and third double colon, without its parents."""
    parts = urn.split("::")
    return parts[2].rpartition("$")[2] if len(parts) > 2 else urn
