"""A picture of a stack, for people: which machines it has, on which networks, and who may reach whom."""

from provision.verify.diagram.formats import as_dot, as_mermaid
from provision.verify.diagram.model import Arrow, Diagram, Place, draw

__all__ = ["Arrow", "Diagram", "Place", "as_dot", "as_mermaid", "draw"]
