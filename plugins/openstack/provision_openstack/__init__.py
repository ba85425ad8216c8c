"""The OpenStack platform for `provision`."""

OPERATIONS = 64
"""At a time, as the command reads here: most of them wait for Nova, and `turns` limits the calls."""
