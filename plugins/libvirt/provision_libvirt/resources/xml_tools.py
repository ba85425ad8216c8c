"""Small helpers to write and read libvirt's XML."""

from xml.etree import ElementTree

NAMESPACE = "urn:provision:libvirt:1"
"""Of the metadata element that says whose an object is."""

ElementTree.register_namespace("provision", NAMESPACE)

Element = ElementTree.Element


def element(tag: str, text: str | None = None, **attributes: object) -> Element:
    """An element; attributes that are None are left out."""
    made = Element(tag, {name: str(value) for name, value in attributes.items() if value is not None})
    made.text = text
    return made


def add(parent: Element, tag: str, text: str | None = None, **attributes: object) -> Element:
    """Append a new element to `parent`."""
    made = element(tag, text, **attributes)
    parent.append(made)
    return made


def to_text(root: Element) -> str:
    """The document."""
    return ElementTree.tostring(root, encoding="unicode")


def from_text(text: str) -> Element:
    """Read a document that libvirt gave."""
    return ElementTree.fromstring(text)


def attribute(root: Element, path: str, name: str) -> str | None:
    """An attribute of the first element at `path`, None when either is not there."""
    found = root.find(path)
    return None if found is None else found.get(name)


def owner_element(stack: str, urn: str, **more: str) -> Element:
    """The metadata that says to which stack and resource an object belongs."""
    return element(f"{{{NAMESPACE}}}owner", stack=stack, urn=urn, **more)


def owner_of(root: Element) -> Element | None:
    """The metadata element that `owner_element` made, in the object's description."""
    return root.find(f"metadata/{{{NAMESPACE}}}owner")
