"""Entry point of the plugin process; the engine may interrupt it at any time, so that is seen to before all imports."""

import gc
import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)
# Imports make hundreds of thousands of objects and no rubbish: looking for some among them is a sixth of a start.
gc.disable()

from provision.host.plugin.process import main  # noqa: E402 - see above

main()
