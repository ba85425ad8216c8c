"""Start: `python -m provision.host.early [--run] PLATFORM…`, by the command alone.

`--run`: a stack file will be run.
"""

import gc
import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in each plugin's own start
gc.disable()  # the same: there is no rubbish while things are imported

from provision.host.early.process import main  # noqa: E402 - see above

main()
