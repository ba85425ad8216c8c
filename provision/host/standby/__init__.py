"""Plugins that are started before the engine asks for them, so that it does not wait for their imports.

The command starts one process with each run of the engine (`starting`), which loads what all of them need, once, and
becomes the language host; the resource plugins are forks of it. The engine's environment tells where they are noted
down. A shim in the Pulumi home that the engine starts looks there first: when a process of its name waits, the shim
hands over to it (`waiting`) what the engine gave it, prints the port that comes back, and stays, for the engine to
signal. In every other case it starts the plugin itself, as it does for plain `pulumi`.

The note of a plugin is a file of its name (`language-provision`, `resource-provision-NAME`) with a process number and
two file descriptors of that process, which the shim opens below `/proc`: a pipe to the plugin, and one from it. Who
makes the file of the same name with `.taken` at its end has the plugin to itself.
"""

VARIABLE = "PROVISION_STANDBY"
"""The folder of the notes; `no`, set by a person: nothing is started early."""

GIVEN = "PROVISION_STANDBY_GIVEN"
"""What the early process is started with, in JSON: the folder, and its file descriptors by plugin."""

LANGUAGE = "language-provision"
"""The note of the language host."""


def resource(platform: str) -> str:
    """The note of the resource plugin of a platform."""
    return f"resource-provision-{platform}"
