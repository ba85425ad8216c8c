"""Fault rules: a list of objects in the JSON file $LAB_FAULTS, read again whenever it changes.

{"kind": "http", "service", "method", "path": patterns, "status", "after", "delay", "headers", "times"}
{"kind": "spawn", "name", "host": patterns, "error", "abort", "delay", "times"}
{"kind": "bind", "host": pattern, "times"}
{"kind": "extend", "name": pattern, "error", "times"}

`times` is counted by each process. A rule that was followed is noted as a line of JSON in $LAB_FAULTS.log.
"""

import json
import os
import re
import threading

_PATTERNS = ("service", "method", "path", "name", "host")
_lock = threading.Lock()
_state = {"seen": None, "rules": [], "used": {}}


def match(kind, **facts):
    """The first rule of a kind that fits; None when there is none."""
    with _lock:
        _load()
        for number, rule in enumerate(_state["rules"]):
            if rule["kind"] == kind and _fits(rule, facts) and _left(number, rule):
                _note(rule, facts)
                return rule
    return None


def _load():
    path = os.environ["LAB_FAULTS"]
    try:
        now = os.stat(path)
    except OSError:
        return
    seen = (now.st_mtime_ns, now.st_ino)
    if seen != _state["seen"]:
        with open(path) as file:
            _state.update(seen=seen, rules=json.load(file), used={})


def _fits(rule, facts):
    return all(re.search(rule[key], facts[key] or "") for key in _PATTERNS if rule.get(key) and key in facts)


def _left(number, rule):
    used = _state["used"].get(number, 0)
    _state["used"][number] = used + 1
    return rule.get("times") is None or used < rule["times"]


def _note(rule, facts):
    with open(os.environ["LAB_FAULTS"] + ".log", "a") as file:
        file.write(json.dumps({"kind": rule["kind"], **facts}) + "\n")
