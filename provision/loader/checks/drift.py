"""Drift: nothing that isolation depends on is left to others."""

from collections.abc import Iterator, Sequence

from provision.diagnostics import Path
from provision.loader.checks.context import Context
from provision.models import DedicatedCpusPolicy, DriftPolicy, MemoryIsolationPolicy, PeerKind, Selector
from provision.models.drift import GUARDED, STRANGERS

_PROMISE = "a policy is never silently weakened"
_FIX = "leave it out, or write 'own': what changed is reported, and put back"


def check_drift(context: Context) -> None:
    """Report fields that isolation depends on, of the whole stack or of a machine that a policy or share selects."""
    rules = context.stack.drift
    if rules.of(STRANGERS) is DriftPolicy.ADOPT and context.known(*_path(STRANGERS)):
        context.sink.error(
            _path(STRANGERS),
            f"'{STRANGERS}' cannot be 'adopt': the file does not describe machines of others",
            "write 'ignore' to leave them alone, or describe such a machine in the file and import it",
        )
    for field in GUARDED:
        found, path = rules.of(field), _path(field)
        if found is not DriftPolicy.OWN and context.known(*path):
            context.sink.error(path, f"'{field}' cannot be '{found}': isolation depends on it, and {_PROMISE}", _FIX)
    for field, about, name in _governed(context):
        found, path = rules.of(field), _path(field)
        if found is DriftPolicy.IGNORE and context.known(*path):
            summary = f"'{field}' cannot be 'ignore': {about} '{name}' depends on it, and {_PROMISE}"
            context.sink.error(path, summary, _FIX)


def _path(field: str) -> Path:
    return ("drift", *field.split("."))


def _governed(context: Context) -> Iterator[tuple[str, str, str]]:
    """Fields with the policy or share that depends on them; each field once for each."""
    stack = context.stack
    for name, policy in stack.isolation.policies.items():
        if isinstance(policy, DedicatedCpusPolicy) and _selects(context, policy.machines):
            yield from ((field, "the policy", name) for field in ("machines.cpus", "machines.size"))
        if isinstance(policy, MemoryIsolationPolicy) and _selects(context, policy.machines):
            yield from ((field, "the policy", name) for field in ("machines.memory", "machines.size"))
    for name, share in stack.sharing.shares.items():
        if share.cpu is not None and _selects(context, share.machines):
            yield "machines.cpus", "the share", name
        if share.memory is not None and _selects(context, share.machines):
            yield "machines.memory", "the share", name
        if share.disk is not None and _selects(context, share.machines):
            yield from ((f"machines.disks.{field}", "the share", name) for field in ("iops", "throughput"))


def _selects(context: Context, selectors: Sequence[Selector]) -> bool:
    return any(
        (one.name == "*" or one.name in context.stack.machines)
        if one.kind is PeerKind.MACHINE
        else any(machine.labels.get(one.name) == one.value for machine in context.stack.machines.values())
        for one in selectors
    )
