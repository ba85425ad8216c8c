"""The report in JUnit's form, which pipelines show as tests: one for each policy and share, and some for the rest."""

import re
from xml.etree import ElementTree as ET

from provision.diagnostics import Severity
from provision.models import Level
from provision.verify.report import PolicyEvidence, Standing, VerifyReport
from provision.verify.words import differences, summary

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HOLDS = (Standing.PROVEN, Standing.ACCEPTED)


def junit(report: VerifyReport) -> str:
    """The whole as XML; what contradicts the file fails, what a required policy lacks is an error."""
    suite = ET.Element("testsuite", name=f"provision verify {report.project}/{report.stack}")
    for kind, items in (("policy", report.policies), ("share", report.shares)):
        for item in items:
            _policy(ET.SubElement(suite, "testcase", classname=kind, name=item.name), item)
    _failing(suite, "isolation", "what is seen is what the file says", differences(report))
    _failing(suite, "evidence", "required evidence is there", report.unmet)
    if report.rules is not None:
        broken = [str(item) for item in report.rules.diagnostics if item.severity is Severity.ERROR]
        _failing(suite, "rules", "rules of the organisation are kept", broken)
    for name in sorted(report.broken):
        case = ET.SubElement(suite, "testcase", classname="probes", name=name)
        _put(case, "error", report.not_probed.get(name, "it could not be probed"))
    cases = list(suite)
    suite.set("tests", str(len(cases)))
    for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(plural, str(sum(case.find(kind) is not None for case in cases)))
    ET.SubElement(suite, "system-out").text = _NOT_XML.sub("?", summary(report))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _policy(case: ET.Element, item: PolicyEvidence) -> None:
    if item.standing in _HOLDS:
        return
    said = "\n".join(f"{kind}: {text}" for kind, text in item.evidence.items())
    if item.standing is Standing.DIFFERS:
        _put(case, "failure", said, item.standing)
    elif item.standing is Standing.UNPROVEN and item.level != Level.PREFERRED:
        _put(case, "error", said, item.standing)
    else:
        _put(case, "skipped", said, item.standing)


def _failing(suite: ET.Element, kind: str, name: str, found: list[str] | tuple[str, ...]) -> None:
    case = ET.SubElement(suite, "testcase", classname=kind, name=name)
    if found:
        _put(case, "failure", "\n".join(found), found[0])


def _put(case: ET.Element, kind: str, text: str, message: str = "") -> None:
    element = ET.SubElement(case, kind, message=_NOT_XML.sub("?", message or text))
    element.text = _NOT_XML.sub("?", text)
