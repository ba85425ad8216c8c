"""Entry point of the plugin process; the engine may interrupt it at any time, so that is seen to before all imports."""

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)

from provision.host.plugin.process import main  # noqa: E402 - see above

main()
