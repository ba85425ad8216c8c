"""Start: `python -m provision.host.language [engine flags] ENGINE_ADDRESS`."""

import gc
import os
import signal

# The engine ends its plugins with SIGINT, and a terminal's Ctrl-C may come at any moment: without this line an
# interrupted import would print a traceback among the user's output.
signal.signal(signal.SIGINT, signal.SIG_IGN)

gc.disable()  # imports make hundreds of thousands of objects and no rubbish; the server has it collected later

import sys  # noqa: E402


def main() -> int:
    """Serve until the engine says Cancel or is gone."""
    import asyncio

    from provision.host.language.server import engine_address, serve

    async def until_the_end() -> None:
        await serve(engine_address(sys.argv[1:]))
        # A run that was cancelled is abandoned here; ending the loop would print what became of it.
        sys.stdout.flush()
        os._exit(0)

    asyncio.run(until_the_end())
    return 0


if __name__ == "__main__":
    sys.exit(main())
