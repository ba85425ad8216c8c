"""Entry point of the process; the engine may interrupt it at any time, so that is seen to before all imports."""

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)

from provision.host.component.process import main  # noqa: E402 - see above

main()
