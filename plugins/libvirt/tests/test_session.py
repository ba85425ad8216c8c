"""The connection: what breaks, and what a person is told."""

import errno
import queue
import socket
import threading
from types import SimpleNamespace

import libvirt
import pytest
from provision_libvirt.answering import NoAnswer, Patience
from provision_libvirt.config import LibvirtConfig
from provision_libvirt.session import Session, best_effort, explain, explained, is_absent, upload

from provision.errors import EnvironmentProblem, NotFound, PlatformError, RetriableError


def failure(code, domain=libvirt.VIR_FROM_QEMU, text="it failed", number=-1):
    error = libvirt.libvirtError(text)
    error.err = (code, domain, text, 2, "", None, None, number, -1)
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (failure(libvirt.VIR_ERR_NO_DOMAIN), NotFound),
        (failure(libvirt.VIR_ERR_NO_STORAGE_VOL), NotFound),
        (failure(libvirt.VIR_ERR_ACCESS_DENIED), EnvironmentProblem),
        (failure(libvirt.VIR_ERR_AUTH_FAILED), EnvironmentProblem),
        (failure(libvirt.VIR_ERR_OPERATION_TIMEOUT), RetriableError),
        (failure(libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_RPC, "client socket is closed"), RetriableError),
        (failure(libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_RPC, "keepalive timeout"), RetriableError),
        (failure(libvirt.VIR_ERR_SYSTEM_ERROR, text="End of file while reading data"), RetriableError),
        (failure(libvirt.VIR_ERR_INTERNAL_ERROR, text="qemu-img: Unable to get accurate CPU usage"), RetriableError),
        (failure(libvirt.VIR_ERR_INTERNAL_ERROR, text="ebtables v1.8.9: RULE_DELETE failed (No such"), RetriableError),
        (failure(libvirt.VIR_ERR_XML_ERROR), PlatformError),
    ],
)
def test_each_failure_of_libvirt_says_whose_fault_it_is(error, kind):
    explained_error = explain("making the machine 'web'", error)

    assert type(explained_error) is kind
    assert explained_error.summary.startswith("making the machine 'web': ")


@pytest.mark.parametrize(
    "error",
    [
        failure(libvirt.VIR_ERR_SYSTEM_ERROR, text="cannot fill file", number=errno.ENOSPC),
        failure(libvirt.VIR_ERR_INTERNAL_ERROR, text="qemu-img: write failed: No space left on device"),
    ],
)
def test_a_full_disk_is_named(error):
    told = explain("making the volume 'data'", error)

    assert "the hypervisor's disk is full" in told.summary
    assert told.fix == "free space in the pool's directory, then run again"


def test_a_disk_that_filled_up_in_silence_is_named():
    """What libvirt 9.0 does with one of about a thousand uploads to a full disk."""
    stream = SimpleNamespace(send=len, finish=lambda: None, abort=lambda: None)
    volume = SimpleNamespace(name=lambda: "data", upload=lambda *_: None, infoFlags=lambda _: [0, 1 << 30, 1 << 20])

    with pytest.raises(PlatformError, match="it has 1048576 of the 3000000 bytes of the volume 'data'") as caught:
        upload(SimpleNamespace(newStream=lambda _: stream), volume, [bytes(1_500_000)] * 2)

    assert caught.value.fix == "free space in the pool's directory, then run again"


def test_only_absence_counts_as_absence():
    assert is_absent(failure(libvirt.VIR_ERR_NO_NETWORK))
    assert not is_absent(failure(libvirt.VIR_ERR_ACCESS_DENIED))


def test_a_missing_socket_says_how_to_get_one_and_libvirt_prints_nothing(tmp_path, capfd):
    uri = f"qemu+unix:///system?socket={tmp_path}/no-such-socket"

    with pytest.raises(EnvironmentProblem, match="cannot be reached") as caught:
        Session(LibvirtConfig(uri=uri))

    assert uri in caught.value.summary
    assert "provision lab start" in caught.value.fix
    assert capfd.readouterr() == ("", "")


def test_a_uri_that_is_none_is_refused_with_an_example():
    with pytest.raises(EnvironmentProblem) as caught:
        Session(LibvirtConfig(uri="qemu+nonsense:///system"))

    assert "qemu:///system" in caught.value.fix


def test_the_uri_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "test:///default")
    assert LibvirtConfig.model_validate({}).uri == "test:///default"
    monkeypatch.delenv("LIBVIRT_DEFAULT_URI")
    assert LibvirtConfig.model_validate({}).uri == "qemu:///system"


@pytest.fixture
def session():
    made = Session(LibvirtConfig(uri="test:///default"))
    yield made
    made.close()


def test_a_broken_connection_is_replaced(session):
    first = session.connection()
    assert session.connection() is first
    first.close()

    second = session.connection()

    assert second is not first
    assert second.getType() == "TEST"


def test_borrowed_connections_are_not_shared_while_in_use_and_then_used_again(session):
    with session.own() as one, session.own() as two:
        assert one is not two
        assert session.connection() not in (one, two)
    with session.own() as again:
        assert again in (one, two)


def test_a_borrowed_connection_that_broke_is_not_given_out_again(session):
    with session.own() as broken:
        broken.close()

    with session.own() as fresh:
        assert fresh is not broken
        assert fresh.getType() == "TEST"


def test_a_daemon_that_answered_before_is_waited_for(tmp_path):
    gone = failure(libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_RPC, "Failed to connect socket: No such file")
    answers = [libvirt.open("test:///default")]

    def connect(uri):
        if answers:
            return answers.pop()
        raise gone

    session = Session(LibvirtConfig(uri="qemu:///system"), connect)
    session.connection().close()

    with pytest.raises(RetriableError, match=r"cannot be reached.*it could be reached before"):
        session.connection()
    with pytest.raises(RetriableError), session.own():
        pass
    with pytest.raises(EnvironmentProblem, match="cannot be reached"):
        Session(LibvirtConfig(uri="qemu:///system"), connect)


@pytest.fixture
def hung(tmp_path, monkeypatch):
    """The URI of a daemon that takes connections and never says a word."""
    monkeypatch.setattr("provision_libvirt.session._ANSWER_SECONDS", 0.3)
    monkeypatch.setattr("provision_libvirt.session._SILENT_SECONDS", 0.3)
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(tmp_path / "s"))
        daemon.listen(8)
        yield f"qemu+unix:///system?socket={tmp_path}/s"


def test_a_daemon_that_hangs_is_not_waited_for_without_end(hung):
    with pytest.raises(EnvironmentProblem, match=r"takes connections and gave no answer for 0\.3 s") as caught:
        Session(LibvirtConfig(uri=hung))

    assert hung in caught.value.summary
    assert "systemctl restart libvirtd" in caught.value.fix


def test_a_daemon_that_begins_to_hang_is_tried_again(hung):
    answers = [libvirt.open("test:///default")]
    session = Session(LibvirtConfig(uri=hung), lambda uri: answers.pop() if answers else libvirt.open(uri))
    session.connection().close()

    with pytest.raises(RetriableError, match=r"gave no answer for 0\.3 s \(it could be reached before\)"):
        session.connection()


def test_what_comes_after_its_time_is_let_go_of_and_until_then_others_wait_little():
    go, let_go = threading.Event(), queue.Queue()
    patience = Patience(0.05, 0.05, let_go.put)
    with pytest.raises(NoAnswer):
        patience.call(lambda: go.wait(600) and "late")
    patience.seconds = 600
    with pytest.raises(NoAnswer):  # by the shorter time
        patience.call(lambda: go.wait(600) and "later")
    go.set()

    assert {let_go.get(timeout=60), let_go.get(timeout=60)} == {"late", "later"}


def test_what_a_call_raises_is_its_own():
    patience = Patience(600, 600, print)

    assert patience.call(lambda: "in time") == "in time"
    with pytest.raises(TimeoutError, match="its own"):
        patience.call(_late)


def _late():
    raise TimeoutError("its own")


def test_what_stands_between_sees_every_connection(session):
    seen = []
    with session.own():
        session.stand_between(lambda connection: seen.append(connection) or connection)

    session.connection()
    with session.own() as first, session.own() as second:
        assert len({id(first), id(second)}) == 2
    assert len(seen) >= 2


def test_best_effort_goes_on_after_a_refusal_but_not_after_what_passes():
    with best_effort():
        raise failure(libvirt.VIR_ERR_OPERATION_INVALID)
    with pytest.raises(libvirt.libvirtError), best_effort():
        raise failure(libvirt.VIR_ERR_RPC, libvirt.VIR_FROM_REMOTE)


def test_every_failure_says_what_to_do():
    for code in (
        libvirt.VIR_ERR_NO_DOMAIN,
        libvirt.VIR_ERR_XML_ERROR,
        libvirt.VIR_ERR_RPC,
        libvirt.VIR_ERR_AUTH_FAILED,
    ):
        assert explain("making it", failure(code)).fix


def test_many_threads_share_one_session(session):
    names, lock = [], threading.Lock()

    def look():
        for _ in range(20):
            with explained("looking"):
                name = session.connection().lookupByName("test").name()
            with lock:
                names.append(name)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert names == ["test"] * 160


def test_a_failure_inside_is_explained(session):
    with pytest.raises(NotFound, match="looking for 'nobody'"), explained("looking for 'nobody'"):
        session.connection().lookupByName("nobody")
