"""The least that a program and a plugin can be, for `preview.py`: what the engine itself takes for so many resources.

    python benchmarks/trivial.py program FILE KIND
    python benchmarks/trivial.py plugin FILE

Each prints a port and serves there until it is ended. The file has the resources of a stack, as it is exported. The
program registers as many components, without outputs, and as many resources of a kind, by raw calls, as many at once as
the engine handles, with nothing worked out. The kind is

* `pulumi:index:Stash`, with one property, which the engine serves itself,
* `bench:index:One`, with two, or
* `bench:index:Same`, with the properties that the stack's resource has,

which the plugin serves: it says that all inputs are right and that nothing differs, without looking at them.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2

from provision.host.deploying.monitor import Monitor, Options
from provision.host.language.server import LanguageHost
from provision.host.protocol import language_pb2, language_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc
from provision.host.values import encode_struct

STASH, SERVED, SAME = "pulumi:index:Stash", "bench:index:One", "bench:index:Same"
PLUGIN = "bench"


class Program(LanguageHost):
    """Registers trivial resources."""

    def __init__(self, resources: list[dict[str, Any]], kind: str) -> None:
        """As many components as there are among resources, and as many others of that kind."""
        super().__init__("", asyncio.Event())
        self._parts = [(_name(one), kind if one["custom"] else "bench:index:Part", one) for one in resources]

    async def Run(self, request: Any, context: Any) -> Any:
        """Register all, as many at once as the engine handles."""
        monitor = Monitor(request.monitor_address, request.monitor_address, preview=request.dryRun)
        name = f"{request.project}-{request.stack}"
        root = await monitor.register("pulumi:pulumi:Stack", name, {}, Options(custom=False))
        wanted = iter(self._parts)

        async def work() -> None:
            for name, kind, one in wanted:
                inputs = {STASH: {"input": name}, SERVED: {"name": name, "size": 1}, SAME: one.get("inputs")}.get(kind)
                await monitor.register(kind, name, inputs or {}, Options(custom=one["custom"], parent=root.urn))

        await asyncio.gather(*(work() for _ in range(max(1, request.parallel))))
        await monitor.close()
        return language_pb2.RunResponse()


class Plugin(provider_pb2_grpc.ResourceProviderServicer):
    """Finds everything right and unchanged."""

    def __init__(self, resources: list[dict[str, Any]]) -> None:
        """What is made has the outputs of one of the resources."""
        self._outputs = {_name(one): one.get("outputs") or {} for one in resources}

    async def Handshake(self, request: Any, context: Any) -> Any:
        """Say what our own plugins say."""
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True, accept_outputs=True)

    async def Attach(self, request: Any, context: Any) -> Any:
        """The engine's log is of no use here."""
        return empty_pb2.Empty()

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Any version."""
        return plugin_pb2.PluginInfo(version="1.0.0")

    async def CheckConfig(self, request: Any, context: Any) -> Any:
        """All is right."""
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: Any, context: Any) -> Any:
        """Nothing differs."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Configure(self, request: Any, context: Any) -> Any:
        """There is nothing to reach."""
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
        )

    async def Check(self, request: Any, context: Any) -> Any:
        """All is right."""
        return provider_pb2.CheckResponse(inputs=request.news)

    async def Diff(self, request: Any, context: Any) -> Any:
        """Nothing differs."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Create(self, request: Any, context: Any) -> Any:
        """What was wanted is there."""
        name = request.urn.rpartition("::")[2]
        same = request.type == SAME
        return provider_pb2.CreateResponse(
            id="one", properties=encode_struct(self._outputs[name]) if same else request.properties
        )

    async def Cancel(self, request: Any, context: Any) -> Any:
        """Nothing is under way."""
        return empty_pb2.Empty()


def _name(resource: dict[str, Any]) -> str:
    return str(resource["urn"].rpartition("::")[2])


async def serve(words: list[str]) -> None:
    """Print a port, and serve there until this process is ended."""
    server = grpc.aio.server()
    resources = json.loads(Path(words[1]).read_text())
    if words[0] == "plugin":
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(Plugin(resources), server)
    else:
        program = Program(resources, words[2])
        language_pb2_grpc.add_LanguageRuntimeServicer_to_server(program, server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1:]))
