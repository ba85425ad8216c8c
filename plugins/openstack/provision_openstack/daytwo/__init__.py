"""What people do with machines that are deployed: each module is one command of `provision`.

There are no snapshots: Nova keeps the root disk alone, and goes back to it by a rebuild, after which the server has
another image than the file says.
"""

from provision_openstack.daytwo.consoles import console, console_log, read_log
from provision_openstack.daytwo.power import switch_power
from provision_openstack.daytwo.status import machine_status

__all__ = ["console", "console_log", "machine_status", "read_log", "switch_power"]
