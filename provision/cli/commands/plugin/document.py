"""A plugin as plain data: what it enforces, with which evidence, and what it is made of."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from provision.cli.commands.plugin import types
from provision.errors import PluginError, ProvisionError, UserError
from provision.spi import (
    CanDescribe,
    CanProbe,
    Capabilities,
    Evidence,
    HasConsole,
    HasDoctor,
    HasLab,
    HasSetup,
    Provider,
    registry,
)
from provision.translate.grammar import PolicyAnswer, answers, policies, refusals

_ABILITIES = {
    "probes": CanProbe,
    "console": HasConsole,
    "doctor": HasDoctor,
    "setup": HasSetup,
    "lab": HasLab,
}


def best(provider: Provider[Any, Any]) -> Capabilities:
    """What a platform that lacks nothing can do, as far as the plugin says."""
    return provider.best_capabilities() if isinstance(provider, CanDescribe) else Capabilities(provider.name)


def ask(provider: Provider[Any, Any], settings: Sequence[str]) -> Capabilities:
    """What the platform that `settings` (`key=value`) lead to can do.

    Raises:
        ProvisionError: a setting is wrong, or the platform cannot be asked.
    """
    from provision.host.deploying.configuration import provider_config

    given = {}
    for setting in settings:
        key, sign, value = setting.partition("=")
        if not sign:
            raise UserError(f"'{setting}' is no setting", "write --config KEY=VALUE")
        given[key.removeprefix(f"provision-{provider.name}:")] = value
    try:
        session = provider.connect(provider_config(provider, {}, given).model)
        try:
            return provider.capabilities(session)
        finally:
            provider.disconnect(session)
    except ProvisionError:
        raise
    except Exception as error:
        raise PluginError(
            f"plugin '{provider.name}' cannot ask its platform: {type(error).__name__}: {error}",
            "report this to the plugin's author",
        ) from error


def described(provider: Provider[Any, Any], capabilities: Capabilities, *, live: bool) -> dict[str, Any]:
    """Everything about a plugin on a platform with these capabilities."""
    found = answers(provider, capabilities)
    entry = registry.rivals(provider.name)[0]
    rest = [
        item for item in refusals(found) if not all(field.startswith("isolation.policies.") for field in item.fields)
    ]
    return {
        "name": provider.name,
        "version": provider.version,
        "description": types.summary(type(provider)),
        "distribution": f"{entry.dist.name} {entry.dist.version}" if entry.dist else None,
        "package": f"provision-{provider.name}",
        "api_version": provider.api_version,
        "abilities": [word for word, protocol in _ABILITIES.items() if isinstance(provider, protocol)],
        "images": list(provider.builtin_images()),
        "capabilities": {"live": live, "facts": dict(capabilities.facts)},
        "policies": [_policy(policy) for policy in policies(found)],
        "refused_fields": [{"fields": list(item.fields), "reason": item.reason, "fix": item.fix} for item in rest],
        "resource_types": [types.resource_type(provider, kind) for kind in provider.resource_types],
        "functions": types.functions(provider),
        "configuration": types.settings(provider),
    }


def _policy(policy: PolicyAnswer) -> dict[str, Any]:
    whole = policy.whole
    evidence = [str(kind) for kind in policy.evidence]
    return {
        "kind": policy.kind,
        "description": types.summary(policy.model),
        "required": "enforced" if whole.enforced else "refused",
        "preferred": "enforced" if whole.enforced else "downgraded",
        "evidence": evidence,
        "lacking_evidence": [str(kind) for kind in Evidence if str(kind) not in evidence] if whole.enforced else [],
        "reason": whole.reason,
        "fix": whole.fix,
        "refused_fields": [
            {
                "field": _written(policy.model, answer.feature.rpartition(".")[2]),
                "value": value,
                "reason": support.reason,
                "fix": support.fix,
            }
            for answer in (policy.fields if whole.enforced else ())
            for value, support in answer.refused
        ],
    }


def _written(model: Any, name: str) -> str:
    """A field's name as it is in the file: `from`, not `sources`."""
    field = model.model_fields.get(name)
    return str(field.alias or name) if field else name


def part(provider: Provider[Any, Any], token: str) -> dict[str, Any]:
    """Everything about one resource type or function.

    Raises:
        UserError: the plugin has none of that name.
    """
    package = f"provision-{provider.name}:"
    wanted = token.removeprefix(package)
    kinds = {kind.token: kind for kind in provider.resource_types}
    if wanted in kinds:
        return types.resource_type(provider, kinds[wanted])
    functions = {item["token"].removeprefix(package): item for item in types.functions(provider)}
    if wanted in functions:
        return functions[wanted]
    close = get_close_matches(wanted, [*kinds, *functions], 1, 0.4)
    raise UserError(
        f"plugin '{provider.name}' has no type '{token}'",
        (f"did you mean '{close[0]}'? " if close else "") + f"it has: {', '.join([*kinds, *functions]) or 'none'}",
    )
