"""The `provision` command."""
