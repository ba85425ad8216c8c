"""Resources that a person wants to be made anew: `--replace`.

The engine asks a plugin nothing before such a replacement (record 0032), so what would lose data is refused here, from
the state, before anything is changed; the plugin refuses once more when it comes to the deletion.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from provision.errors import ProvisionError, UserError
from provision.host.events import Message, name_of
from provision.host.permission import ALLOW_DESTROY, DATA, Permission, permission, subject

_OURS = "provision-"
_KEEPS = ":index:AddressPlan"
"""What remembers is no object that could be made anew."""

_MOST_NAMED = 8


@dataclass(frozen=True)
class Chosen:
    """A resource that is to be made anew.

    Attributes:
        urn: Pulumi's URN.
        has_data: whether data is destroyed with it.
    """

    urn: str
    has_data: bool = False


def chosen(state: Mapping[str, Any], names: Sequence[str]) -> list[Chosen]:
    """The native resources that `names` name, in the order of the state.

    A machine (`web-0`, `machines/web-0`) is itself and its boot disk, without its data disks and NICs; those have names
    of their own (`web-0/data`, `machines/web-0/disk-data`). A network or policy is all that it consists of. Patterns
    with `*` are names of all that they fit.

    Raises:
        UserError: a name names nothing that is deployed, or what is protected or kept whatever becomes of the stack.
    """
    natives = [item for item in state.get("resources") or () if _is_native(item)]
    labels = {str(item["urn"]): frozenset(_labels(name_of(str(item["urn"])))) for item in natives}
    known = sorted({label for found in labels.values() for label in found})
    for name in names:
        if not any(fnmatchcase(label, name) for label in known):
            raise UserError(f"there is nothing called '{name}' to replace", _near(name, known))
    found = [
        item
        for item in natives
        if any(fnmatchcase(label, name) for label in labels[str(item["urn"])] for name in names)
    ]
    _refuse_kept(found)
    return [Chosen(str(item["urn"]), _has_data(item)) for item in found]


def _refuse_kept(found: Sequence[Mapping[str, Any]]) -> None:
    for mark, why, key in (
        ("protect", "protected ('delete_protection')", "delete_protection"),
        ("retainOnDelete", "kept when the stack lets go of it ('keep_on_delete')", "keep_on_delete"),
    ):
        words = [subject(name_of(str(item["urn"]))).words for item in found if item.get(mark)]
        if words:
            raise UserError(
                f"{why}, so not made anew: {', '.join(dict.fromkeys(words))}; nothing was changed",
                f"write '{key}: false' for it, run `provision up`, then do this again",
            )


def losing(found: Sequence[Chosen], allowed: Permission) -> list[Message]:
    """What is told of those with data, whose loss is allowed.

    Raises:
        UserError: data would be lost.
    """
    with_data = [item for item in found if item.has_data]
    refused = [about for item in with_data if not allowed.covers(*(about := subject(name_of(item.urn))).names)]
    if refused:
        words = list(dict.fromkeys(f"{'the ' if about.machine else ''}{about.words}" for about in refused))
        raise UserError(
            f"this would replace {', '.join(words)} and destroy {'its' if len(words) == 1 else 'their'} data "
            "(the replacement was asked for); nothing was changed",
            f"leave out --replace, or allow it: {allowed.commands(about.names[0] for about in refused)}",
        )
    return [Message("warning", "destroys data: its replacement was asked for", item.urn) for item in with_data]


def allowed(config: Mapping[str, Any], environment: Mapping[str, str]) -> Permission:
    """Whose data may be destroyed, by the configuration of a stack (`pulumi.automation.ConfigValue`)."""
    given = config.get(f"provision:{ALLOW_DESTROY}")
    return permission(given.value if given is not None else None, environment)


def _is_native(item: Mapping[str, Any]) -> bool:
    kind = str(item.get("type", ""))
    return kind.startswith(_OURS) and not kind.endswith(_KEEPS) and not item.get("delete")


def _labels(name: str) -> Iterator[str]:
    """All names by which a native resource goes here."""
    yield name
    section, _, rest = name.partition("/")
    if section != "machines":
        if rest:
            yield f"{section}/{rest.partition('/')[0]}"
        return
    machine, _, part = rest.partition("/")
    if about := subject(name).disk:
        yield f"{machine}/{about}"
    elif part and not part.startswith(("nic-", "disk-")):
        yield from (machine, f"machines/{machine}")


def _has_data(item: Mapping[str, Any]) -> bool:
    if DATA in (item.get("outputs") or {}):
        return True
    from provision.host.plugin.losing import destroyed_by_default  # of runs that replace something alone
    from provision.spi import CanLoseData, registry

    package, _, token = str(item["type"]).partition(":")
    try:
        kinds = registry.load(package.removeprefix(_OURS)).resource_types
    except ProvisionError:
        return False  # without its plugin nothing is made anew either
    kind = next((kind for kind in kinds if kind.token == token), None)
    if kind is None or issubclass(kind, CanLoseData):  # which says so in the record
        return False
    return destroyed_by_default(kind) or bool(subject(name_of(str(item["urn"]))).disk)


def _near(name: str, known: Sequence[str]) -> str:
    short = [label for label in known if label.count("/") < 2 and not label.startswith("machines/")]
    close = get_close_matches(name, short, 4, 0.5) or get_close_matches(name, known, 4, 0.5)
    if close:
        *first, last = (f"'{label}'" for label in close)
        return f"did you mean {', '.join(first)} or {last}?" if first else f"did you mean {last}?"
    if not known:
        return "nothing is deployed: run `provision up` first"
    more = f" and {len(short) - _MOST_NAMED} more" if len(short) > _MOST_NAMED else ""
    return f"deployed are {', '.join(short[:_MOST_NAMED])}{more}"
