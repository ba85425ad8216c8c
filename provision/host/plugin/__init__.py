"""The resource-plugin host: `python -m provision.host.plugin NAME` serves a provider plugin to Pulumi."""
