"""Rules of an organisation that every stack file has to keep, checked on the models before anything is made."""

from provision.verify.guardrails.check import Checked, CodeRule, Finding, check, refusal
from provision.verify.guardrails.installed import installed_rules
from provision.verify.guardrails.models import RuleLevel, Rules, json_schema
from provision.verify.guardrails.read import RuleBook, read_rules
from provision.verify.guardrails.seen import Passing, StackView
from provision.verify.guardrails.whole import check_files

__all__ = [
    "Checked",
    "CodeRule",
    "Finding",
    "Passing",
    "RuleBook",
    "RuleLevel",
    "Rules",
    "StackView",
    "check",
    "check_files",
    "installed_rules",
    "json_schema",
    "read_rules",
    "refusal",
]
