"""All packet filters of a hypervisor, one by one.

libvirt's own list of them (`virConnectListAllNWFilters`) holds the locks of all filters at once, in the order of a hash
table (9.0, `virNWFilterObjListCollect`). A machine that starts meanwhile takes the locks of its filters in another
order, and then neither goes on, nor anything else that asks the daemon. The list of names holds one lock at a time.
"""

from typing import Any

import libvirt

from provision_libvirt.session import is_absent


def all_filters(connection: Any) -> list[Any]:
    """Every packet filter; one that goes away meanwhile is left out.

    Raises:
        libvirt.libvirtError: the hypervisor did not answer, or knows no packet filters.
    """
    found = []
    for name in connection.listNWFilters():
        try:
            found.append(connection.nwfilterLookupByName(name))
        except libvirt.libvirtError as error:
            if not is_absent(error):
                raise
    return found
