"""nova-compute with the lab's hypervisor."""

import sys

from nova.cmd import compute  # decides about monkey patching, so it comes first

from oslab import labvirt

if __name__ == "__main__":
    labvirt.register()
    sys.exit(compute.main())
