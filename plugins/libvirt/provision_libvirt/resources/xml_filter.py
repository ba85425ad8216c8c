"""Packet filters in libvirt's XML, both ways, and one spelling for what libvirt spells in several."""

import hashlib
import re
from typing import Any

from provision_libvirt.resources.filter_model import FilterInputs, FilterReference, FilterRule
from provision_libvirt.resources.spelling import canonical_rule
from provision_libvirt.resources.xml_tools import Element, add, element, from_text, to_text


def render(inputs: FilterInputs, name: str, uuid: str) -> str:
    """The definition of a filter; its name and UUID are those of the incarnation."""
    root = element("filter", name=name, chain=inputs.chain, priority=inputs.priority)
    add(root, "uuid", uuid)
    for reference in inputs.references:
        root.append(reference_element(reference.filter, reference.parameters))
    for rule in inputs.rules:
        made = add(root, "rule", action=rule.action, direction=rule.direction, priority=rule.priority)
        if not rule.statematch:
            made.set("statematch", "false")
        made.append(Element(rule.protocol, rule.attributes))
    return to_text(root)


def reference_element(name: str, parameters: dict[str, list[str]]) -> Element:
    """A reference to a filter, in another one or in an interface."""
    made = element("filterref", filter=name)
    for variable, values in parameters.items():
        for value in values:
            add(made, "parameter", name=variable, value=value)
    return made


def parameters_of(reference: Element) -> dict[str, list[str]]:
    """The values that a reference gives to variables."""
    found: dict[str, list[str]] = {}
    for parameter in reference.findall("parameter"):
        found.setdefault(parameter.get("name", ""), []).append(parameter.get("value", ""))
    return found


def parse(text: str) -> dict[str, Any]:
    """Everything of `FilterInputs` that a filter's description holds; `name` is the full one."""
    root = from_text(text)
    priority = root.get("priority")
    return {
        "name": root.get("name", ""),
        "chain": root.get("chain", "root"),
        "priority": int(priority) if priority is not None else None,
        "rules": [rule for found in root.findall("rule") for rule in _rules(found)],
        "references": [
            FilterReference.model_construct(filter=found.get("filter", ""), parameters=parameters_of(found))
            for found in root.findall("filterref")
        ],
    }


def fingerprint(text: str) -> str:
    """SHA-256 of a description, whatever its indentation."""
    return hashlib.sha256(re.sub(r">\s+<", "><", text.strip()).encode()).hexdigest()


def canonical(rule: FilterRule) -> tuple[object, ...]:
    """The same value for every spelling of the same rule that libvirt is known to use."""
    return canonical_rule(dict(rule))


def _rules(found: Element) -> list[FilterRule]:
    fields: dict[str, Any] = {
        "action": found.get("action", "drop"),
        "direction": found.get("direction", "inout"),
        "priority": int(found.get("priority", "500")),
        "statematch": found.get("statematch", "true") not in ("0", "false"),
    }
    protocols = list(found) or [Element("all")]
    return [FilterRule.model_construct(**fields, protocol=p.tag, attributes=dict(p.attrib)) for p in protocols]
