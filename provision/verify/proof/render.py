"""A proof for people, for pipelines and for documents."""

from typing import Any

from provision.verify.proof.compare import Proof, Way

SCHEMA = 1
"""Version of the JSON form; keys are added to it, never renamed or removed."""


def summary(proof: Proof) -> str:
    """The outcome in one line."""
    about = f"{_count(proof.machines, 'machine', 'machines')}, {_count(proof.policies, 'policy', 'policies')}"
    if proof.holds:
        return f"proven for {about}: the native rules let pass what the file allows, and nothing else"
    found = _count(len(proof.differences), "difference", "differences") if proof.differences else "not proven"
    return f"{found} between the native rules and the file ({about})" if proof.differences else f"{found} ({about})"


def lines(proof: Proof) -> list[str]:
    """Every difference, and every rule that was not understood."""
    return [
        *(f"difference: {item}" for item in proof.differences),
        *(f"not understood: {text}" for text in proof.unmodelled),
    ]


def as_data(proof: Proof) -> dict[str, Any]:
    """The proof as plain data, in a schema that stays."""
    return {
        "schema": SCHEMA,
        "proven": proof.holds,
        "machines": proof.machines,
        "policies": proof.policies,
        "differences": [
            {
                "way": item.way.name.lower(),
                "service": "arp" if item.way is Way.CLAIM else str(item.packet.service),
                "source": str(item.packet.source),
                "source_name": item.source,
                "source_port": item.packet.source_port,
                "destination": str(item.packet.destination),
                "destination_name": item.destination,
                "rules": item.rules,
                "text": str(item),
            }
            for item in proof.differences
        ],
        "unmodelled": list(proof.unmodelled),
    }


def markdown(proof: Proof) -> str:
    """A document: for a pull request or a pipeline's summary."""
    said = [f"**{summary(proof)}**", *(f"- {line}" for line in lines(proof))]
    return "\n\n".join([said[0], "\n".join(said[1:])]).rstrip() + "\n"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
