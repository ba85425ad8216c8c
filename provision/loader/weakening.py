"""What an overlay makes weaker: each is a warning, so that a change for one stack never loosens isolation unseen."""

from provision.diagnostics import Diagnostic, DiagnosticSink, Path, Severity, SourceMap
from provision.loader.nodes import Node, Places, plain

_SERVICES_OPEN_BY_DEFAULT = ("nd",)
_INTERNET = {"none": 0, "nat": 1, "routed": 2}
_GUARDS: dict[str, dict[str, tuple[object, ...]]] = {
    # kind: {field: values from the weakest to the strongest; the first one that is listed twice is the default}
    "anti_spoofing": {"mac": (False, True), "ip": (False, True), "arp": (False, True)},
    "metadata": {"access": ("token", "closed")},
    "dedicated_cpus": {
        "emulator": (False, True),
        "numa": (False, True),
        "smt": ("share", "isolate", "require"),
    },
    "memory": {"locked": (False, True), "huge_pages": (False, True), "shared_pages": (True, False)},
    "secure_boot": {"vtpm": (False, True)},
    "confinement": {"mandatory_access_control": (False, True), "seccomp": (False, True)},
    "hide_hypervisor": {"nested": (True, False)},
    "spread": {"over": ("core", "numa", "host", "rack", "zone")},
}
_DEFAULTS: dict[tuple[str, str], object] = {
    ("anti_spoofing", "mac"): True,
    ("anti_spoofing", "ip"): True,
    ("anti_spoofing", "arp"): True,
    ("metadata", "access"): "closed",
    ("dedicated_cpus", "emulator"): False,
    ("dedicated_cpus", "numa"): False,
    ("dedicated_cpus", "smt"): "share",
    ("memory", "locked"): False,
    ("memory", "huge_pages"): False,
    ("memory", "shared_pages"): False,
    ("secure_boot", "vtpm"): False,
    ("confinement", "mandatory_access_control"): True,
    ("confinement", "seccomp"): True,
    ("hide_hypervisor", "nested"): False,
    ("spread", "over"): "host",
}
_FIX = "make sure that this is meant for this stack"


def check_weakening(base: Node, merged: Node, overlay: Node, sink: DiagnosticSink) -> None:
    """Compare the stack file with what its overlay makes of it, and warn of everything that isolates less.

    Args:
        base: the stack file alone.
        merged: with the overlay.
        overlay: the overlay alone.
        sink: where the warnings go.
    """
    check = _Weakening(base, merged, overlay, sink)
    check.isolation()
    check.policies()
    check.networks()
    check.machines()


class _Weakening:
    def __init__(self, base: Node, merged: Node, overlay: Node, sink: DiagnosticSink) -> None:
        self._base = base
        self._merged = merged
        self._overlay = overlay
        self._source_map = SourceMap(Places(overlay, keys=True), Places(overlay, keys=False))
        self._sink = sink

    def _warn(self, path: Path, summary: str) -> None:
        position = self._source_map.locate(path)  # in the overlay itself: what it removes is in no merged document
        name = self._overlay.place[0]
        message = f"the overlay {name} weakens isolation: {summary}"
        self._sink.add(Diagnostic(Severity.WARNING, message, _FIX, path, position))

    def _pair(self, *path: str, default: object) -> tuple[object, object]:
        """The value at a path before and after."""
        found = []
        for root in (self._base, self._merged):
            node = root.get(*path)
            found.append(default if node is None or node.value is None else plain(node))
        return found[0], found[1]

    def isolation(self) -> None:
        before, after = self._pair("isolation", "default", default="deny")
        if before != "allow" and after == "allow":
            self._warn(("isolation", "default"), "everything that no policy names is allowed")
        for service in ("dhcp", "dns", "ntp", "metadata", "nd"):
            before, after = self._pair("isolation", "services", service, default=service in _SERVICES_OPEN_BY_DEFAULT)
            if before is not True and after is True:
                self._warn(("isolation", "services", service), f"the service '{service}' is opened")

    def policies(self) -> None:
        block = self._base.get("isolation", "policies")
        after = self._merged.get("isolation", "policies")
        for name, node in block.items() if block else []:
            path: Path = ("isolation", "policies", name)
            now = self._merged.get(*path)
            if now is None:
                if _text(node, "kind") != "traffic" or node.get("deny") is not None:
                    self._warn(path, f"the policy '{name}' is removed")
            else:
                self._policy(path, name, node, now)
        for name, node in after.items() if after else []:
            known = block is not None and block.get(name) is not None
            if not known and _text(node, "kind") == "traffic" and node.get("allow") is not None:
                self._warn(("isolation", "policies", name), f"the new policy '{name}' allows traffic")

    def _policy(self, path: Path, name: str, before: Node, now: Node) -> None:
        if before is now:
            return
        kind = _text(now, "kind")
        if _text(before, "kind") != kind:
            self._warn((*path, "kind"), f"the policy '{name}' is no longer of the kind '{_text(before, 'kind')}'")
            return
        if _text(before, "level") != "preferred" and _text(now, "level") == "preferred":
            self._warn((*path, "level"), f"the policy '{name}' is only preferred")
        if gone := _items(before, "evidence") - _items(now, "evidence"):
            said = ", ".join(sorted(gone))
            self._warn((*path, "evidence"), f"the policy '{name}' no longer requires evidence: {said}")
        if kind == "traffic":
            self._traffic(path, name, before, now)
        elif gone := _items(before, "machines") - _items(now, "machines"):
            self._warn((*path, "machines"), f"the policy '{name}' no longer covers {', '.join(sorted(gone))}")
        for field, order in _GUARDS.get(kind, {}).items():
            default = _DEFAULTS[kind, field]
            old, new = (_scalar(node, field, default) for node in (before, now))
            if old in order and new in order and order.index(new) < order.index(old):
                self._warn((*path, field), f"'{field}' of the policy '{name}' goes from {_word(old)} to {_word(new)}")
        for field in ("max_per", "hop_limit"):
            old, new = (_scalar(node, field, 1) for node in (before, now))
            if isinstance(old, int) and isinstance(new, int) and new > old:
                self._warn((*path, field), f"'{field}' of the policy '{name}' goes from {old} to {new}")

    def _traffic(self, path: Path, name: str, before: Node, now: Node) -> None:
        allows = _items(now, "allow")
        for field in ("allow", "from", "to"):
            if field != "allow" and not allows:
                continue
            grown = _items(now, field) - _items(before, field)
            if grown:
                verb = "allows" if field == "allow" else "also applies " + ("from" if field == "from" else "to")
                self._warn((*path, field), f"the policy '{name}' {verb} {', '.join(sorted(grown))}")
        gone = _items(before, "deny") - _items(now, "deny")
        if gone:
            self._warn((*path, "deny"), f"the policy '{name}' no longer denies {', '.join(sorted(gone))}")
        if _items(before, "deny"):
            for field in ("from", "to"):
                if gone := _items(before, field) - _items(now, field):
                    self._warn((*path, field), f"the policy '{name}' no longer denies {', '.join(sorted(gone))}")
        old, new = (_scalar(node, "order", None) for node in (before, now))
        if old != new and _items(before, "deny"):
            self._warn((*path, "order"), f"the policy '{name}' with 'deny' moves from order {old} to {new}")
        if _text(before, "revoke") == "cut" and _text(now, "revoke") != "cut":
            self._warn((*path, "revoke"), f"the policy '{name}' no longer cuts established flows")

    def networks(self) -> None:
        block = self._merged.get("networks")
        for name, _ in block.items() if block else []:
            before, after = self._pair("networks", name, "internet", default="none")
            old, new = (_INTERNET.get(item) if isinstance(item, str) else None for item in (before, after))
            if self._base.get("networks", name) is not None and old is not None and new is not None and new > old:
                self._warn(("networks", name, "internet"), f"the internet of '{name}' goes from {before} to {after}")

    def machines(self) -> None:
        block = self._merged.get("machines")
        for name, machine in block.items() if block else []:
            before = self._base.get("machines", name)
            if before is None or before is machine:
                continue
            path: Path = ("machines", name)
            self._encrypted((*path, "root"), before.get("root"), machine.get("root"))
            disks = machine.get("disks")
            for disk, node in disks.items() if disks else []:
                self._encrypted((*path, "disks", disk), before.get("disks", disk), node)
            was, now_protected = (_scalar(node, "delete_protection", False) for node in (before, machine))
            if was is True and now_protected is False:
                self._warn((*path, "delete_protection"), f"'{name}' may be deleted")
            labels = before.get("labels")
            for label, node in labels.items() if labels else []:
                now = machine.get("labels", label)
                if now is None or now.value != node.value:
                    self._warn((*path, "labels", label), f"'{name}' no longer has the label '{label}={node.value}'")
            self._public(path, name, before, machine)

    def _encrypted(self, path: Path, before: Node | None, now: Node | None) -> None:
        was = before is not None and _scalar(before, "encrypted", False) is True
        if was and (now is None or _scalar(now, "encrypted", False) is False):
            self._warn((*path, "encrypted"), f"the disk '{path[-1]}' of '{path[1]}' is no longer encrypted")

    def _public(self, path: Path, name: str, before: Node, now: Node) -> None:
        nics = now.get("nics")
        for index, nic in enumerate(nics.value if nics is not None and isinstance(nics.value, list) else []):
            old = before.get("nics", index)
            if _scalar(nic, "public", False) is True and (old is None or _scalar(old, "public", False) is not True):
                self._warn((*path, "nics", index, "public"), f"'{name}' gets a public address")


def _scalar(node: Node, key: str, default: object) -> object:
    found = node.get(key)
    return default if found is None or found.value is None else found.value


def _text(node: Node, key: str) -> str:
    value = _scalar(node, key, "")
    return value if isinstance(value, str) else ""


def _items(node: Node, key: str) -> set[str]:
    found = node.get(key)
    return {str(item.value) for item in found.value} if found is not None and isinstance(found.value, list) else set()


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
