"""The language host: a project with `runtime: provision` has a stack file as its program.

The engine starts it several times per command (once only to ask for its version), so nothing heavy is imported before
`Run`. Refresh and destroy do not run it at all: they work on what is recorded.
"""
