"""The process that stands by (`provision.host.standby`): it becomes the language host, and forks resource plugins."""
