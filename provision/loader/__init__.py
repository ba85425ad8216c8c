"""From YAML to a validated `Stack`, with the place of every value kept, and every mistake reported in one run."""

from provision.loader.load import Definition, Loaded, NotKnownYet, load, reference_stacks
from provision.loader.render import render
from provision.loader.schema import json_schema

__all__ = ["Definition", "Loaded", "NotKnownYet", "json_schema", "load", "reference_stacks", "render"]
