"""Which rules of an organisation the configuration names."""

from provision.host.permission import listed


def configured_rules(value: str | None) -> tuple[str, ...]:
    """The rules files that `provision:rules` names; what is no list is one path, so that none is left out unseen."""
    return listed(value) or ((value,) if value and value.strip() != "[]" else ())
