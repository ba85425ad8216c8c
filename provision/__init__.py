"""Virtual machines and their isolation from one declarative file."""
