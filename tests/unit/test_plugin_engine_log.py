"""What a plugin says reaches the engine: over a real channel, from many threads, in order, and as text."""

import asyncio
import threading
from typing import Any

import grpc.aio
from google.protobuf import empty_pb2

from provision.host.plugin.engine_log import EngineLog
from provision.host.protocol import engine_pb2, engine_pb2_grpc


class Engine(engine_pb2_grpc.EngineServicer):
    """Keeps what it is told; slow, as a busy display is."""

    def __init__(self) -> None:
        self.got: list[engine_pb2.LogRequest] = []

    async def Log(self, request: engine_pb2.LogRequest, context: Any) -> empty_pb2.Empty:
        await asyncio.sleep(0.02)
        self.got.append(request)
        return empty_pb2.Empty()


async def with_engine(work: Any) -> Engine:
    engine, server = Engine(), grpc.aio.server()
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    log = EngineLog(f"127.0.0.1:{port}")
    try:
        await asyncio.wait_for(work(log, engine), 20)
    finally:
        await log.close()
        await server.stop(0)
    return engine


def test_lasting_lines_arrive_in_order_and_a_flush_waits_for_them() -> None:
    async def work(log: EngineLog, engine: Engine) -> None:
        log.note("urn:a", "one")
        log.warning("urn:a", "two")
        log.debug("urn:b", "three")
        await log.flush()
        assert [item.message for item in engine.got] == ["one", "two", "three"]
        assert [item.severity for item in engine.got] == [engine_pb2.INFO, engine_pb2.WARNING, engine_pb2.DEBUG]
        assert [item.ephemeral for item in engine.got] == [False, False, False]
        assert engine.got[2].urn == "urn:b"

    asyncio.run(with_engine(work))


def test_of_many_status_lines_the_last_one_counts() -> None:
    async def work(log: EngineLog, engine: Engine) -> None:
        def talk(urn: str) -> None:
            for number in range(1000):
                log.status(urn, str(number))

        threads = [threading.Thread(target=talk, args=(f"urn:{name}",)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        log.note("urn:c", "this stays")  # what stays is waited for, and all that was said before it
        await log.flush()
        last = {item.urn: item.message for item in engine.got}
        assert last == {"urn:a": "999", "urn:b": "999", "urn:c": "this stays"}
        assert all(item.ephemeral for item in engine.got if item.urn != "urn:c")
        assert len(engine.got) < 200

    asyncio.run(with_engine(work))


def test_what_is_no_text_is_sent_as_well_as_can_be() -> None:
    async def work(log: EngineLog, engine: Engine) -> None:
        log.note("urn:a", "file \udcff")
        log.status("urn:a", "file \udcff")
        await log.flush()
        assert [item.message for item in engine.got] == ["file ?", "file ?"]

    asyncio.run(with_engine(work))


def test_an_engine_that_is_gone_holds_nothing_up() -> None:
    async def go() -> None:
        log = EngineLog("127.0.0.1:1")
        log.note("urn:a", "one")
        await asyncio.wait_for(log.flush(), 5)
        await asyncio.wait_for(log.close(), 5)
        log.note("urn:a", "two")

    asyncio.run(go())


def test_a_loop_that_has_ended_is_not_missed() -> None:
    logs: list[EngineLog] = []

    async def go() -> None:
        logs.append(EngineLog("127.0.0.1:1"))
        await logs[0].close()

    asyncio.run(go())
    logs[0].status("urn:a", "too late")
