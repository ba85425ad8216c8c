"""What one plugin enforces, with which evidence, and what it is made of."""

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from provision.cli.commands.plugin import document as data
from provision.cli.commands.plugin.page import Entry, Page, Section, Table, as_markdown, as_text
from provision.errors import UserError
from provision.spi import registry

_WIDEST = 110


def run(name: str, token: str | None, *, live: bool, settings: Sequence[str], output: str) -> None:
    """Print the description of a plugin, or of one of its types.

    Raises:
        ProvisionError: the plugin cannot be loaded, or with `live` its platform cannot be asked.
    """
    # What a plugin prints while it is looked at must not end up in a document.
    with contextlib.redirect_stdout(sys.stderr):
        provider = registry.load(name)
        if settings and not live:
            raise UserError("--config is for asking the platform", "add --live")
        if token is not None:
            document = data.part(provider, token)
            page = _type_page(document) if "inputs" in document else _function_page(document)
        else:
            document = data.described(
                provider, data.ask(provider, settings) if live else data.best(provider), live=live
            )
            page = _page(document)
    if output == "json":
        click.echo(json.dumps(document, indent=2, default=str))
    elif output == "markdown":
        click.echo("\n".join(as_markdown(page)))
    else:
        width = min(shutil.get_terminal_size().columns, _WIDEST)
        click.echo("\n".join(as_text(page, width)))


def _page(document: dict[str, Any]) -> Page:
    package = f"{document['package']}:"
    facts = document["capabilities"]["facts"]
    asked = "the platform that answered" if document["capabilities"]["live"] else "a platform that lacks nothing"
    sections = [
        Section(
            f"Policies on {asked}",
            [Table(("policy", "required", "preferred", "evidence, or why not"), list(_policy_rows(document)))],
        )
    ]
    if document["refused_fields"]:
        entries = [
            Entry(", ".join(item["fields"]), "", _because(item["reason"], item["fix"]))
            for item in document["refused_fields"]
        ]
        sections.append(Section("Other fields that are refused", entries))
    if document["capabilities"]["live"]:
        sections.append(Section("What the platform told", [Entry(key, _said(value)) for key, value in facts.items()]))
    sections.append(
        Section(
            "Resource types: none"
            if not document["resource_types"]
            else "Resource types (*: required; all about one: --type TOKEN)",
            [
                Entry(
                    item["token"].removeprefix(package),
                    "",
                    (
                        item["description"],
                        f"inputs: {_names(item['inputs'])}",
                        f"outputs: {_names(item['outputs'])}",
                    ),
                )
                for item in document["resource_types"]
            ],
        )
    )
    if document["functions"]:
        sections.append(
            Section(
                "Functions",
                [
                    Entry(
                        item["token"].removeprefix(package),
                        "",
                        (
                            item["description"],
                            f"arguments: {_names(item['arguments'])}",
                            f"result: {_names(item['result'])}",
                        ),
                    )
                    for item in document["functions"]
                ],
            )
        )
    if document["configuration"]:
        sections.append(Section("Configuration", [_field(item) for item in document["configuration"]]))
    texts = [
        document["description"],
        f"distribution {document['distribution'] or 'unknown'}, interface {document['api_version']}, "
        f"package {document['package']}",
        f"has: {', '.join(document['abilities']) or 'no probes, console, doctor, setup or lab'}",
        f"built-in images: {', '.join(document['images']) or 'none'}",
    ]
    return Page(f"{document['name']} {document['version']}", [text for text in texts if text], sections)


def _policy_rows(document: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for policy in document["policies"]:
        said = ", ".join(policy["evidence"]) or "no evidence" if policy["required"] == "enforced" else policy["reason"]
        yield policy["kind"], policy["required"], policy["preferred"], said or "not supported"
        for part in policy["refused_fields"]:
            name = f"  {part['field']}" + (f": {part['value']}" if part["value"] else "")
            yield name, "refused", "downgraded", part["reason"] or "not supported"


def _because(reason: str, fix: str) -> tuple[str, ...]:
    return tuple(text for text in (reason or "not supported", f"fix: {fix}" if fix else "") if text)


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _names(fields: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"{item['name']}{'*' if item.get('required') else ''}" for item in fields) or "none"


def _field(item: dict[str, Any]) -> Entry:
    words = [item["type"]]
    if item.get("required"):
        words.append("required")
    if item.get("default") not in (None, "", {}, []):
        words.append(f"default {_said(item['default'])}")
    if item.get("environment"):
        words.append(f"or {' or '.join('$' + name for name in item['environment'])}")
    if item.get("secret"):
        words.append("secret")
    if item.get("change"):
        words.append(item["change"])
    if item.get("known"):
        words.append(f"known {item['known']}")
    words += item.get("notes", ())
    if item.get("deprecated"):
        words.append(f"deprecated: {item['deprecated']}")
    return Entry(item["name"], ", ".join(words), (item["description"],) if item["description"] else ())


def _type_page(document: dict[str, Any]) -> Page:
    facts = [
        f"can: {', '.join(document['can'])}",
        *document["lacks"],
        f"replacement: {document['replacement']}"
        + (", objects carry the stack's marker" if document["owned"] else "")
        + (f", service {document['service']}" if document["service"] else ""),
    ]
    if document["timeouts"]:
        facts.append(
            "timeouts: " + ", ".join(f"{name} {seconds:g} s" for name, seconds in document["timeouts"].items())
        )
    if document["schema_version"]:
        facts.append(f"state has version {document['schema_version']}; older state is upgraded")
    sections = [
        Section("Inputs", [_field(item) for item in document["inputs"]] or ["none"]),
        Section("Outputs", [_field(item) for item in document["outputs"]] or ["none"]),
    ]
    sections += _nested(document)
    return Page(document["token"], [text for text in (document["description"], *facts) if text], sections)


def _function_page(document: dict[str, Any]) -> Page:
    sections = [
        Section("Arguments", [_field(item) for item in document["arguments"]] or ["none"]),
        Section("Result", [_field(item) for item in document["result"]] or ["none"]),
    ]
    sections += _nested(document)
    return Page(document["token"], [document["description"]] if document["description"] else [], sections)


def _nested(document: dict[str, Any]) -> Iterator[Section]:
    for item in document["types"]:
        blocks: list[str | Table | Entry] = [item["description"]] if item["description"] else []
        blocks += [Entry(str(value)) for value in item["values"]]
        blocks += [_field(field) for field in item["fields"]]
        yield Section(item["name"], blocks)
