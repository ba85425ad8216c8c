"""The order in which rules of the packet filters decide; the same in both layers, lower first."""

NEEDED = 100
"""Neighbour discovery, ARP, errors about connections that are allowed."""
ERRORS = 110
"""Errors of the hypervisor's routing, which a machine needs also when the hypervisor is closed to it."""
CLOSED = 120
"""What a policy closes for good."""
LEASES = 150
"""DHCP, whose answers may be broadcast."""
OTHERS_ADDRESS = 200
"""Frames for another's address are not delivered."""
EXPLICIT = 300
"""The hypervisor and written prefixes, where a policy or service allows them."""
FIRST_STEP = 301
"""Where the steps of a stack with `deny` rules begin: first those of connections that NICs open, then those to them."""
CLOSED_SERVICES = 349
"""With `default: allow` and `deny` rules: what stays closed when no policy spoke of it."""
OPENED = 350
"""With `default: allow` and `deny` rules: all connections that NICs open and no policy spoke of."""
FIRST_STEP_IN = 351
"""The steps of connections to NICs."""
CLOSED_HOST = 400
"""The hypervisor's addresses, for everything else."""
INSIDE = 500
"""Machines and networks of the stack."""
CLOSED_INSIDE = 600
"""All networks of the stack, for everything else: what is left is outside."""
OUTSIDE = 700
"""Whatever is beyond the stack's networks."""
CLOSED_SPECIAL = 800
"""Addresses that are not public, for everything else."""
INTERNET = 900
"""Public addresses."""
LAST = 1000
"""Everything else is dropped."""
