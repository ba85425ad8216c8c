"""The connection to the hypervisor, and libvirt's errors in the words of `provision.errors`."""

import contextlib
import errno
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import libvirt

from provision.errors import EnvironmentProblem, NotFound, PlatformError, ProvisionError, RetriableError
from provision.spi import WatchedModule, calls_are_watched
from provision_libvirt import place, ssh
from provision_libvirt.answering import NoAnswer, Patience
from provision_libvirt.config import SYSTEM_POOL_PATH, LibvirtConfig

_KEEPALIVE_SECONDS = 10
_KEEPALIVE_COUNT = 6
_ANSWER_SECONDS = 60.0
_SILENT_SECONDS = 5.0  # for a hypervisor that has an earlier connection waiting
_IDLE_CONNECTIONS = 8
_FULL = "free space in the pool's directory, then run again"
_CHUNK = 262_120  # what every libvirt takes in one stream packet (VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX)

_ABSENT = {
    libvirt.VIR_ERR_NO_DOMAIN,
    libvirt.VIR_ERR_NO_NETWORK,
    libvirt.VIR_ERR_NO_NWFILTER,
    libvirt.VIR_ERR_NO_STORAGE_POOL,
    libvirt.VIR_ERR_NO_STORAGE_VOL,
    libvirt.VIR_ERR_NO_DOMAIN_METADATA,
}
_DENIED = {
    libvirt.VIR_ERR_AUTH_FAILED,
    libvirt.VIR_ERR_AUTH_CANCELLED,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE,
    libvirt.VIR_ERR_ACCESS_DENIED,
}
_PASSING = {libvirt.VIR_ERR_OPERATION_TIMEOUT, libvirt.VIR_ERR_RESOURCE_BUSY, libvirt.VIR_ERR_AGENT_UNRESPONSIVE}
_LOST = (
    "client socket is closed",
    "end of file",
    "connection reset",
    "broken pipe",
    "keepalive",
    "connection closed",
    "hangup event",
)
_RUN_AGAIN = "run again; when it stays so, `provision doctor` says what is wrong with the hypervisor"
_TIMED_OUT = "keepalive timeout"
_HANGS = (
    "look at the hypervisor: when `virsh version` does not answer there, restart its libvirt (`systemctl restart "
    "libvirtd`; machines run on); when it does, its machine was too busy; then run again"
)
_LOCAL = re.compile(
    r"^virEvent|^virStream(Send|Recv)|Error|Callback|Register|(Free|Ref|GetName|GetKey|GetConnect|IsAlive|GetURI)$"
    r"|GetUUID|GetID$|KeepAlive|virInitialize"
)
_UNLUCKY = (
    "unable to get accurate cpu usage",  # QEMU, timing how hard a key is to guess on a machine that is busy
    "rule_delete failed",  # ebtables, adding a rule while another program of nf_tables changed some: it undoes too much
    "domain is not running",  # it ended between a look at it and the call: another look sees that
)
_ABSENT_DAEMON = ("no such file", "connection refused", "connection reset", "end of file")
_BAD_URI = ("no connection driver", "unsupported", "invalid", "not recognised", "unexpected")

_event_loop_started = False
_event_loop_lock = threading.Lock()


def _start_event_loop() -> None:
    """Run libvirt's event loop in a thread, once per process: keep-alive and console streams need it."""
    global _event_loop_started
    with _event_loop_lock:
        if calls_are_watched() and not isinstance(libvirt.libvirtmod, WatchedModule):
            libvirt.libvirtmod = WatchedModule(libvirt.libvirtmod, _is_told, _failure)
        if _event_loop_started:
            return
        libvirt.registerErrorHandler(lambda context, error: None, None)  # errors are raised, not printed as well
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=_turn_events, name="libvirt-events", daemon=True).start()
        _event_loop_started = True


def _is_told(function: str) -> bool:
    """Whether a function of libvirt asks the hypervisor: others look at what this process knows."""
    return function.startswith("vir") and not _LOCAL.search(function)


def _failure(returned: Any) -> str:
    """What libvirt returns where its Python objects raise an error."""
    return "libvirtError" if returned is None or (type(returned) is int and returned == -1) else ""


def _turn_events() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            time.sleep(0.1)


class Session:
    """Connections to one hypervisor: a shared one for what is short, and borrowed ones for what takes long.

    A daemon stops reading from a connection with too many requests or too much unread stream data under way, also its
    keep-alives, and then takes the client for dead. So whatever starts machines, waits or streams borrows its own.
    """

    def __init__(self, config: LibvirtConfig, connect: Callable[[str], Any] = libvirt.open) -> None:
        """Connect.

        Args:
            config: which hypervisor.
            connect: opens a `virConnect` by its URI.

        Raises:
            EnvironmentProblem: the hypervisor cannot be reached.
        """
        self.config = config
        self._connect = connect
        self._reached = False
        self._lock = threading.Lock()
        self._connection: Any = None
        self._idle: list[Any] = []
        self._closed = False
        self._patience: Patience[Any] = Patience(_ANSWER_SECONDS, _SILENT_SECONDS, _close)
        self.connection()

    @property
    def pool_path(self) -> str:
        """Directory on the hypervisor for the volumes of all stacks.

        Raises:
            UserError: nobody says where a user's own hypervisor keeps them.
        """
        given = self.config.pool_path  # the engine hands defaults on like anything else that is configured
        own = place.is_session(self.config.uri) and given == SYSTEM_POOL_PATH
        return place.pool_path(self.config.uri, None if own else given)

    def connection(self) -> Any:
        """The live `virConnect`; a broken one is replaced.

        Raises:
            EnvironmentProblem: the hypervisor cannot be reached.
            RetriableError: it could be before: its daemon is restarting.
        """
        with self._lock:
            if self._connection is not None and _alive(self._connection):
                return self._connection
            self._forget()
            self._connection = self._open()
            return self._connection

    def stand_between(self, wrap: Callable[[Any], Any]) -> None:
        """Have every connection, those of today and of later, wrapped: for tests of what goes wrong with a call."""
        connect = self._connect
        with self._lock:
            self._connect = lambda uri: wrap(connect(uri))
            self._forget()
            idle, self._idle = self._idle, []
        for connection in idle:
            _close(connection)

    @contextlib.contextmanager
    def own(self) -> Iterator[Any]:
        """A `virConnect` for the caller alone while inside; it is kept for the next one.

        Raises:
            EnvironmentProblem: the hypervisor cannot be reached.
            RetriableError: it could be before: its daemon is restarting.
        """
        borrowed = None
        while borrowed is None:
            with self._lock:
                candidate = self._idle.pop() if self._idle else None
            if candidate is None:
                borrowed = self._open()
            elif _alive(candidate):
                borrowed = candidate
            else:
                _close(candidate)
        try:
            yield borrowed
        finally:
            with self._lock:
                keep = not self._closed and len(self._idle) < _IDLE_CONNECTIONS
                if keep:
                    self._idle.append(borrowed)
            if not keep:
                _close(borrowed)

    def _open(self) -> Any:
        _start_event_loop()
        uri = ssh.dialled(self.config.uri)
        try:
            made = self._patience.call(lambda: self._connect(uri))
        except NoAnswer:
            raise self._failed(_silent(self.config.uri, self._patience.seconds), passing=True) from None
        except libvirt.libvirtError as error:
            passing = is_passing(error, *_ABSENT_DAEMON)
            raise self._failed(_unreachable(self.config.uri, error), passing=passing) from None
        self._reached = True
        with contextlib.suppress(libvirt.libvirtError):  # drivers inside this process (test:///) have no keep-alive
            made.setKeepAlive(_KEEPALIVE_SECONDS, _KEEPALIVE_COUNT)
        return made

    def _failed(self, problem: EnvironmentProblem, *, passing: bool) -> ProvisionError:
        """What a failure to connect is: worth another try where that could be done before."""
        if self._reached and passing:
            return RetriableError(f"{problem.summary} (it could be reached before)", problem.fix)
        return problem

    def close(self) -> None:
        """Let go of all connections; those that are borrowed end with their use."""
        with self._lock:
            self._closed = True
            self._forget()
            idle, self._idle = self._idle, []
        for connection in idle:
            _close(connection)

    def _forget(self) -> None:
        if self._connection is not None:
            _close(self._connection)
            self._connection = None


def upload(connection: Any, volume: Any, chunks: Iterable[bytes]) -> None:
    """Write `chunks` into `volume` from its start.

    Raises:
        libvirt.libvirtError: the hypervisor refused or ran out of space.
        PlatformError: it ran out of space and did not say so.
    """
    stream = connection.newStream(0)
    sent = 0
    try:
        volume.upload(stream, 0, 0, 0)
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                taken = stream.send(bytes(view[:_CHUNK]))
                sent += taken
                view = view[taken:]
        stream.finish()
    except BaseException:
        with contextlib.suppress(libvirt.libvirtError):
            stream.abort()
        raise
    # Of about a thousand uploads to a full disk, libvirt 9.0 calls one a success.
    held = file_length(volume)
    if held < sent:
        raise PlatformError(
            f"the hypervisor's disk is full: it has {held} of the {sent} bytes of the volume '{volume.name()}'", _FULL
        )


def file_length(volume: Any) -> int:
    """Bytes of the file of a volume, as they are at this moment."""
    return int(volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)[2])


def download(connection: Any, volume: Any, offset: int, length: int) -> bytes:
    """Read at most `length` bytes of `volume` from `offset`.

    Raises:
        libvirt.libvirtError: the hypervisor refused.
    """
    stream = connection.newStream(0)
    parts: list[bytes] = []
    try:
        volume.download(stream, offset, length, 0)
        while data := stream.recv(_CHUNK):
            parts.append(data)
        stream.finish()
    except BaseException:
        with contextlib.suppress(libvirt.libvirtError):
            stream.abort()
        raise
    return b"".join(parts)


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn a `libvirtError` inside into the class of `provision.errors` that says what to do; `doing` begins it."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise explain(doing, error) from None


def explain(doing: str, error: libvirt.libvirtError) -> ProvisionError:
    """What `error` means, while `doing`."""
    code, text = error.get_error_code(), str(error).strip()
    message = f"{doing}: {text}"
    if code in _ABSENT:
        return NotFound(message, "`provision refresh`, then run again: what is gone is made anew")
    if code in _DENIED:
        return EnvironmentProblem(message, "give this user the right to manage the hypervisor (group `libvirt`)")
    if error.get_int1() == errno.ENOSPC or "no space left on device" in text.lower():
        return PlatformError(f"{doing}: the hypervisor's disk is full ({text})", _FULL)
    if _TIMED_OUT in text.lower():
        seconds = _KEEPALIVE_SECONDS * (_KEEPALIVE_COUNT + 1)
        return RetriableError(f"{doing}: the hypervisor gave no sign of life for {seconds} s ({text})", _HANGS)
    if _is_lost(error):
        return RetriableError(f"{doing}: the connection to the hypervisor broke ({text})", _RUN_AGAIN)
    if is_passing(error, *_UNLUCKY):
        return RetriableError(message, _RUN_AGAIN)
    return PlatformError(message, "mend the cause on the hypervisor (its log says more), then run again")


def is_passing(error: libvirt.libvirtError, *words: str) -> bool:
    """Whether `error` is expected to pass by itself; `words` in its text make it so too."""
    text = str(error).lower()
    return error.get_error_code() in _PASSING or _is_lost(error) or any(word in text for word in words)


def _is_lost(error: libvirt.libvirtError) -> bool:
    """Whether the connection broke; then nobody knows whether the call had its effect."""
    if error.get_error_domain() == libvirt.VIR_FROM_RPC or error.get_error_code() == libvirt.VIR_ERR_RPC:
        return True
    return any(words in str(error).lower() for words in _LOST)


@contextlib.contextmanager
def best_effort() -> Iterator[None]:
    """Go on after a refusal of the hypervisor, but not after a failure that passes: that is worth another try.

    Raises:
        libvirt.libvirtError: it is expected to pass.
    """
    try:
        yield
    except libvirt.libvirtError as error:
        if is_passing(error):
            raise


def is_absent(error: libvirt.libvirtError) -> bool:
    """Whether `error` says that the object does not exist."""
    return error.get_error_code() in _ABSENT


def _alive(connection: Any) -> bool:
    try:
        return bool(connection.isAlive() == 1)
    except libvirt.libvirtError:
        return False


def _close(connection: Any) -> None:
    with contextlib.suppress(libvirt.libvirtError):
        connection.close()


def _silent(uri: str, seconds: float) -> EnvironmentProblem:
    return EnvironmentProblem(f"the hypervisor at {uri} takes connections and gave no answer for {seconds:g} s", _HANGS)


def _unreachable(uri: str, error: libvirt.libvirtError) -> EnvironmentProblem:
    text = str(error).strip()
    lowered = text.lower()
    summary = f"the hypervisor at {uri} cannot be reached: {text}"
    if ssh.is_ssh(uri) and (problem := ssh.unreachable(uri, text)) is not None:
        return problem
    if error.get_error_code() in _DENIED or "permission denied" in lowered:
        return EnvironmentProblem(summary, "add this user to the group `libvirt`, or run as root")
    if "no such file" in lowered or "connection refused" in lowered:
        return EnvironmentProblem(
            summary,
            "start libvirt (`systemctl start libvirtd`), or a private hypervisor with `provision lab start`, or set "
            "`pulumi config set provision-libvirt:uri URI`",
        )
    if any(words in lowered for words in _BAD_URI):
        return EnvironmentProblem(summary, "write a libvirt connection URI, such as qemu:///system")
    return EnvironmentProblem(summary, "check `virsh -c URI version` by hand; `provision doctor` says what is missing")
