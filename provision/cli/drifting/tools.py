"""A drift report in the forms that other tools read: SARIF 2.1.0 and JUnit."""

import hashlib
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from provision.cli.drifting.found import ABOUT, Finding, Kind, Report

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_INFORMATION = "https://pypi.org/project/provision/"
_LEFT = {"kind": "inSource", "justification": "the stack file says that this is left alone"}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_sarif(report: Report, version: str, root: Path) -> dict[str, Any]:
    """SARIF, which forges show beside the code; a finding keeps its fingerprint as long as it is the same.

    Args:
        report: what was found.
        version: of this tool.
        root: of the repository that the stack file is in: forges look paths up from there.
    """
    rules = [{"id": str(kind), "shortDescription": {"text": text}} for kind, text in ABOUT.items()]
    driver = {"name": "provision", "version": version, "informationUri": _INFORMATION, "rules": rules}
    results = [_result(finding, root) for finding in report.findings]
    results += [_result(finding, root) | {"level": "note", "suppressions": [_LEFT]} for finding in report.ignored]
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "automationDetails": {"id": f"drift/{report.project}/{report.stack}"},
                "results": results,
            }
        ],
    }


def _result(finding: Finding, root: Path) -> dict[str, Any]:
    level = "error" if finding.isolates else "note" if finding.kind is Kind.UNSEEN else "warning"
    identity = hashlib.sha256("\n".join((finding.kind, finding.name, finding.summary)).encode()).hexdigest()
    found: dict[str, Any] = {
        "ruleId": str(finding.kind),
        "level": level,
        "message": {"text": "\n".join((finding.summary, *finding.details))},
        "partialFingerprints": {"drift/v1": identity},
    }
    location: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": finding.name}]}
    if (at := finding.position) is not None:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": _uri(at.file, root)},
            "region": {"startLine": at.line, "startColumn": at.column},
        }
    return found | {"locations": [location]}


def _uri(file: str, root: Path) -> str:
    path = Path(file).absolute()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_uri()


def as_junit(report: Report) -> str:
    """JUnit, which every pipeline shows: one case for each finding, and one for all that is as recorded."""
    failures = sum(finding.kind is not Kind.UNSEEN for finding in report.findings)
    errors = len(report.findings) - failures
    name = f"drift of {report.project}/{report.stack}"
    counts = {
        "tests": str(len(report.findings) + len(report.ignored) + 1),
        "failures": str(failures),
        "errors": str(errors),
        "skipped": str(len(report.ignored)),
    }
    suites = ET.Element("testsuites", counts)
    suite = ET.SubElement(suites, "testsuite", {"name": name, **counts})
    ET.SubElement(suite, "testcase", {"classname": "drift", "name": f"{report.unchanged} resources as recorded"})
    for finding in report.findings:
        case = ET.SubElement(suite, "testcase", {"classname": f"drift.{finding.kind}", "name": _clean(finding.name)})
        word = "error" if finding.kind is Kind.UNSEEN else "failure"
        told = ET.SubElement(case, word, {"type": str(finding.kind), "message": _clean(finding.summary)})
        told.text = _clean("\n".join((finding.summary, *finding.details)))
    for finding in report.ignored:
        case = ET.SubElement(suite, "testcase", {"classname": "drift.left-alone", "name": _clean(finding.name)})
        ET.SubElement(case, "skipped", {"message": _clean("\n".join((finding.summary, *finding.details)))})
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _clean(text: str) -> str:
    """Without signs that XML cannot hold."""
    return _NOT_XML.sub("?", text)
