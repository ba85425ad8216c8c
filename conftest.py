"""What holds for every test: the state of the process must not depend on how the run was started."""

import signal

# A shell starts what runs in its background with interrupts ignored, and every child would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
