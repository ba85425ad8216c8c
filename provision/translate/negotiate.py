"""Negotiation: what the platform says to everything that the stack file asks, and what becomes of each policy.

Nothing is ever dropped: a feature that the platform does not enforce is an error, unless the author of the file wrote
`level: preferred` on its policy; then the policy as a whole is downgraded, which the state and every report repeat.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from provision.diagnostics import DiagnosticSink, Path
from provision.errors import PolicyRefused, StackFileError
from provision.models import Level, Policy, Stack
from provision.spi import (
    Capabilities,
    Decision,
    Evidence,
    FeatureUse,
    HasObjections,
    Objection,
    Provider,
    Support,
    Verdict,
    unsupported,
)
from provision.translate.features import features


@dataclass
class _PolicyAnswers:
    """What the platform said about one policy and its parts."""

    policy: Policy
    refused: list[tuple[FeatureUse, Support]] = field(default_factory=list)
    evidence: frozenset[Evidence] = frozenset()


def negotiate(
    stack: Stack,
    provider: Provider[Any, Any],
    capabilities: Capabilities,
    sink: DiagnosticSink,
    *,
    objections: Sequence[Objection] = (),
    where: str = "",
) -> Mapping[str, Decision]:
    """Decide, for every policy by name, whether it is enforced or downgraded.

    Downgrades are reported to `sink` as warnings.

    Args:
        stack: what is to be made on the platform.
        provider: the plugin of the platform.
        capabilities: what the platform said of itself.
        sink: where findings go.
        objections: what is refused whatever the platform says.
        where: in messages, after the platform's name: which of several locations it is.

    Raises:
        PolicyRefused: the platform cannot enforce a required policy; carries everything found.
        StackFileError: it cannot do something else that the file asks for; carries everything found.
    """
    called = f"'{provider.name}'{where}"
    answers = {name: _PolicyAnswers(policy) for name, policy in stack.isolation.policies.items()}
    refused_at: Path | None = None
    for use in features(stack, provider.name):
        support = provider.supports(use, capabilities)
        owner = _policy_of(use.path)
        if owner is not None:
            if use.path == ("isolation", "policies", owner):
                answers[owner].evidence = support.evidence
            if not support.enforced:
                answers[owner].refused.append((use, support))
        elif not support.enforced and (refused_at is None or use.path[: len(refused_at)] != refused_at):
            refused_at = use.path  # what lies below it needs no further word
            sink.error(use.path, *_message(support, called, _subject(use)))
    found_together = provider.objections(stack, capabilities) if isinstance(provider, HasObjections) else ()
    for objection in (*objections, *found_together):
        if objection.warns:
            sink.warning(objection.path, objection.reason, objection.fix)
            continue
        owner = _policy_of(objection.path)
        use, support = FeatureUse("", objection.path, None), unsupported(objection.reason, objection.fix)
        if owner is not None:
            answers[owner].refused.append((use, support))
        else:
            sink.error(objection.path, *_message(support, called, _subject(use)))
    refused = False
    decisions: dict[str, Decision] = {}
    for name, found in answers.items():
        decision = _decide(name, found, called, sink)
        refused = refused or decision is None
        if decision is not None:
            decisions[name] = decision
    _images(stack, provider, sink)
    if refused:
        raise PolicyRefused(tuple(sink), sink.source_map)
    if sink.has_errors:
        raise StackFileError(tuple(sink), sink.source_map)
    return decisions


def _policy_of(path: Path) -> str | None:
    return str(path[2]) if len(path) >= 3 and path[:2] == ("isolation", "policies") else None


def _decide(name: str, found: _PolicyAnswers, called: str, sink: DiagnosticSink) -> Decision | None:
    kind = found.policy.kind
    if not found.refused:
        return Decision(name, kind, Verdict.ENFORCE, evidence=found.evidence)
    # A refusal of the whole says it all: repeating it for each field would bury the reason.
    whole = [item for item in found.refused if len(item[0].path) == 3]
    said = whole or found.refused
    if found.policy.level is Level.PREFERRED:
        reason = "; ".join(dict.fromkeys(_reason(support, called) for _, support in said))
        sink.warning(
            ("isolation", "policies", name),
            f"policy '{name}' is not enforced: {reason}",
            "it is 'preferred', so this is recorded as a downgrade; write 'level: required' to refuse instead",
            key=True,
        )
        return Decision(name, kind, Verdict.DOWNGRADE, reason)
    for use, support in said:
        part = "" if len(use.path) == 3 else f" ('{use.path[-1]}')"
        summary, fix = _message(support, called, f"policy '{name}'{part}")
        alternative = "write 'level: preferred' to go on without it, reported as a downgrade"
        sink.error(use.path, summary, f"{fix}; or {alternative}" if fix else alternative, key=len(use.path) == 3)
    return None


def _reason(support: Support, called: str) -> str:
    return support.reason or f"{called} does not support it"


def _message(support: Support, called: str, subject: str) -> tuple[str, str]:
    return f"{subject} cannot be enforced on {called}: {_reason(support, called)}", support.fix


def _subject(use: FeatureUse) -> str:
    words = [part for part in use.path if isinstance(part, str)] or [use.feature]
    name = ".".join(words[-2:]) if words[-2:-1] in (["overrides"], ["existing"]) else words[-1]
    text = str(use.value) if isinstance(use.value, str | int | float) else ""
    if isinstance(use.value, bool):  # as a file says it
        text = text.lower()
    if isinstance(use.value, float) and isinstance(use.owner, BaseModel):  # a rate or duration is written with its unit
        field = use.feature.rpartition(".")[2]
        text = str(use.owner.model_dump(mode="json", include={field}).get(field, text))
    return f"'{name}: {text}'" if text and len(text) <= 40 else f"'{name}'"


def _images(stack: Stack, provider: Provider[Any, Any], sink: DiagnosticSink) -> None:
    """Report images that are neither in the file, for this platform, nor built into the platform."""
    builtin = provider.builtin_images()
    known = sorted({*stack.images, *builtin})
    checked: dict[str, tuple[str, str] | None] = {}
    for path, name in _image_names(stack):
        if name not in checked:
            checked[name] = _image_problem(stack, provider.name, name, builtin, known)
        problem = checked[name]
        if problem is not None:
            sink.error(path, *problem)
    for image_name, image in stack.images.items():
        for key, source in image.sources.items():
            wrong = source.kind == "builtin" and key in (provider.name, "any") and source.name not in builtin
            if wrong and source.kind == "builtin":
                sink.error(
                    ("images", image_name, "sources", key, "name"),
                    f"'{provider.name}' has no built-in image '{source.name}'",
                    _meant(source.name, sorted(builtin)),
                )


def _image_names(stack: Stack) -> Iterator[tuple[Path, str]]:
    for entry, machine in stack.machines.items():
        yield ("machines", entry, "image"), machine.image
        for name, disk in machine.disks.items():
            if disk.image is not None:
                yield ("machines", entry, "disks", name, "image"), disk.image


def _image_problem(
    stack: Stack, platform: str, name: str, builtin: Sequence[str], known: Sequence[str]
) -> tuple[str, str] | None:
    image = stack.images.get(name)
    if image is not None:
        if platform in image.sources or "any" in image.sources:
            return None
        return (
            f"image '{name}' has no source for '{platform}'",
            f"add '{platform}:' or 'any:' under images.{name}.sources",
        )
    if name in builtin:
        return None
    return f"there is no image called '{name}'", _meant(name, known)


def _meant(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, 1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known images: {', '.join(known)}" if known else "describe it under 'images:'"
