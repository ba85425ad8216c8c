"""The AWS EC2 platform for `provision`."""

OPERATIONS = 128
"""At a time, as the command reads here: most of them wait for EC2, and a session limits its calls."""
