"""Making a stack through an engine's resource monitor: what the language host and the component have in common."""
