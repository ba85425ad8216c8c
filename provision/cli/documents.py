"""What commands print with `--format json`: the shape of each document, from which its published schema is made.

Keys are added, never renamed or removed, so that a reader has to let pass what it does not know.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Evidence = Literal["translated", "accepted", "effective", "probed"]


class _Document(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")


class Difference(_Document):
    """One packet on which the file and the rules do not agree."""

    way: Annotated[str, Field(description="How they differ: leak, half, gap, forgery, …")]
    service: Annotated[str, Field(description="Such as tcp/22.")]
    source: Annotated[str, Field(description="Address.")]
    source_name: Annotated[str, Field(description="Machine, host, outside, or whose network it is.")]
    source_port: Annotated[int, Field(ge=0, le=65535)]
    destination: Annotated[str, Field(description="Address.")]
    destination_name: Annotated[str, Field(description="Machine, host, outside, or whose network it is.")]
    rules: Annotated[str, Field(description="The native rules that decide on it.")]
    text: Annotated[str, Field(description="All of that in one sentence.")]


class Proof(_Document):
    """Native rules compared with the file as sets of packets."""

    schema_: Annotated[Literal[1], Field(alias="schema", description="Version of this document.")]
    proven: Annotated[bool, Field(description="Whether the rules let pass what the file allows, and nothing else.")]
    machines: Annotated[int, Field(ge=0)]
    policies: Annotated[int, Field(ge=0)]
    differences: list[Difference]
    unmodelled: Annotated[list[str], Field(description="Native rules that were not understood.")]


class SelfTest(_Document):
    """How many broken rules the proof notices."""

    total: Annotated[int, Field(ge=0, description="Breaks that should be noticed.")]
    caught: Annotated[int, Field(ge=0)]
    by_layer: Annotated[dict[str, int], Field(description="Which evidence notices how many.")]
    missed: list[str]
    narrower: Annotated[list[str], Field(description="Breaks that only stop more.")]
    beyond: Annotated[list[str], Field(description="Breaks that open nothing on which the file decides.")]
    without_effect: list[str]
    tried: Annotated[int, Field(ge=0)]
    possible: Annotated[int, Field(ge=0)]


class LayerCount(_Document):
    """What one layer made of the breaks of a live stack."""

    looked: Annotated[int, Field(ge=0, description="At how many it could look.")]
    noticed: Annotated[int, Field(ge=0, description="How many of those it noticed.")]


class Revoked(_Document):
    """What became of an open connection when the policy that allows it was taken away for a moment."""

    policy: str
    revoke: Annotated[Literal["keep", "cut"], Field(description="What the file says of open connections.")]
    ended: Annotated[bool | None, Field(description="Whether it ended; null when nothing is shown.")]
    right: Annotated[bool | None, Field(description="Whether that is as the file says.")]
    text: Annotated[str, Field(description="All of that in one sentence.")]


class LiveSelfTest(_Document):
    """How many rules and settings, broken on the live platform for a moment, were noticed."""

    total: Annotated[int, Field(ge=0, description="Breaks that should be noticed.")]
    caught: Annotated[int, Field(ge=0, description="Those that a look at the live stack noticed.")]
    by_layer: Annotated[
        dict[Literal["accepted", "effective", "probed"], int],
        Field(description="How many a layer noticed that none before it did."),
    ]
    layers: dict[Literal["static", "accepted", "effective", "probed"], LayerCount]
    missed: list[str]
    refused: Annotated[list[str], Field(description="Breaks that the platform did not take.")]
    late: Annotated[list[str], Field(description="Breaks that could not be looked at in time; the test ended there.")]
    possible: Annotated[int, Field(ge=0, description="How many breaks could have been made.")]
    probes: Annotated[int, Field(ge=0, description="How many probes were sent.")]
    revoked: Annotated[list[Revoked], Field(description="Policies that say what becomes of open connections.")]


class RuleFinding(_Document):
    """Where a rule of the organisation is broken, or speaks of nothing."""

    severity: Literal["error", "warning", "note"]
    summary: str
    fix: str
    place: Annotated[str, Field(description="`file:line:column`; empty when there is none.")]


class Rules(_Document):
    """What rules of the organisation say of the file."""

    checked: Annotated[int, Field(ge=0, description="How many rules were held against it.")]
    broken: Annotated[int, Field(ge=0, description="In how many places required ones are broken.")]
    findings: list[RuleFinding]


class Setting(_Document):
    """What native settings say of a policy or share."""

    kind: Literal["policy", "share"]
    name: str
    holds: Annotated[bool | None, Field(description="Whether they are as it asks; null when they do not tell.")]
    text: str


class StaticVerification(Proof):
    """`provision verify --static`."""

    settings: Annotated[list[Setting], Field(description="Of policies and shares that no packet shows.")]
    rules: Annotated[Rules | None, Field(description="Null when there are none.")]
    self_test: Annotated[SelfTest | None, Field(description="With --self-test.")] = None


class Probe(_Document):
    """One probe: who, to whom, what, expected and seen."""

    source: str
    source_address: str
    destination: str
    destination_address: str
    service: Annotated[
        str,
        Field(description="`tcp/80`, `udp/53`, `icmp` or `icmpv6` (an echo), `false mac`, `false ip` or `false arp`."),
    ]
    family: Literal[4, 6]
    expected: Literal["open", "closed"]
    seen: Annotated[str, Field(description="What the probe saw.")]
    passed: Annotated[bool | None, Field(description="Whether packets arrived; null when that is not known.")]
    why: Annotated[str, Field(description="The policy that decides, or `default deny`, `no route`, `services.NAME`.")]
    outcome: Literal["agrees", "differs", "unproven"]
    agrees: bool
    note: str
    attempts: Annotated[int, Field(ge=1)]
    counter_example: Annotated[str | None, Field(description="The difference in one sentence.")]


class Policy(_Document):
    """What is known of a policy or share."""

    name: str
    kind: str
    level: Literal["required", "preferred"]
    standing: Literal["proven", "accepted", "differs", "unproven", "not probed", "not shown", "downgraded"]
    rows: Annotated[list[int], Field(description="Positions in `rows` of the probes that it decides.")]
    evidence: Annotated[dict[Evidence, str], Field(description="Per kind, what is held or why it is not.")]
    holds: Annotated[dict[Evidence, bool | None], Field(description="Per kind, whether it agrees with the file.")]


class Downgraded(_Document):
    """A policy that is not enforced because it is only preferred."""

    name: str
    kind: str
    level: str
    verdict: str
    reason: str


class NotProbed(_Document):
    """A machine, or the outside, that could not be probed."""

    name: str
    reason: str
    failure: Annotated[bool, Field(description="Whether that is a failure, and not the platform's nature.")]


class LeftOut(_Document):
    """What was not probed on purpose."""

    count: Annotated[int, Field(ge=0)]
    what: str
    why: str


class Counts(_Document):
    """How many probes were judged, and how."""

    probed: Annotated[int, Field(ge=0)]
    agreed: Annotated[int, Field(ge=0)]
    differ: Annotated[int, Field(ge=0)]
    unproven: Annotated[int, Field(ge=0)]
    not_probed: Annotated[int, Field(ge=0)]
    left_out: Annotated[int, Field(ge=0)]


class Coverage(_Document):
    """How far the probes that were planned stand for all between the same machines; false senders are none of them."""

    sent: Annotated[int, Field(ge=0, description="How many were planned.")]
    possible: Annotated[int, Field(ge=0, description="How many there would be; `--exhaustive` sends all.")]
    machines: Annotated[int, Field(ge=0, description="How many machines were to be probed.")]
    pairs: Annotated[int, Field(ge=0, description="Ordered pairs of machines between which something is sent.")]
    text: Annotated[str, Field(description="The same in words; empty when nothing was planned.")]


class Verification(_Document):
    """`provision verify`."""

    schema_: Annotated[Literal[1], Field(alias="schema", description="Version of this document.")]
    project: str
    stack: str
    platform: str
    file: Annotated[str, Field(description="Name of the stack file.")]
    exit_code: Literal[0, 1, 3]
    counts: Counts
    pairs: Annotated[str, Field(description="How pairs of machines were chosen.")]
    coverage: Coverage
    rows: Annotated[list[Probe], Field(description="Every probe.")]
    policies: list[Policy]
    downgraded: list[Downgraded]
    not_probed: list[NotProbed]
    left_out: list[LeftOut]
    shares: list[Policy]
    unmet: Annotated[list[str], Field(description="Required evidence that is missing.")]
    translated: Annotated[Proof | None, Field(description="Of the native rules as they are made.")]
    accepted: Annotated[Proof | None, Field(description="Of the live rules, where only the platform's API tells them.")]
    effective: Annotated[Proof | None, Field(description="Of the live rules, as the host applies them.")]
    rules: Annotated[Rules | None, Field(description="Null when there are none.")]
    self_test: Annotated[LiveSelfTest | None, Field(description="With --self-test.")] = None


class Place(_Document):
    """A place in a file, counted from 1."""

    file: str
    line: Annotated[int, Field(ge=1)]
    column: Annotated[int, Field(ge=1)]
    length: Annotated[int, Field(ge=1)]


class Diagnostic(_Document):
    """One finding in a file."""

    severity: Literal["error", "warning", "note"]
    summary: str
    fix: str
    path: Annotated[list[str | int], Field(description="Keys and list indexes from the root of the document.")]
    position: Place | None


class Validation(_Document):
    """`provision validate`."""

    schema_: Annotated[Literal[1], Field(alias="schema", description="Version of this document.")]
    succeeded: bool
    valid: Annotated[bool, Field(description="Whether the stack file is, whatever rules say of it.")]
    diagnostics: list[Diagnostic]


class Property(_Document):
    """A property that changes."""

    path: str
    values: Annotated[str, Field(description="Before and after in words; empty when too long.")]
    replaces: bool


class Step(_Document):
    """What is, or would be, done to a resource."""

    op: Literal["create", "update", "replace", "delete", "import"]
    type: str
    name: str
    urn: str
    failed: bool
    loses_data: bool
    kept: Annotated[bool, Field(description="Whether the native object outlives a deletion.")]
    properties: list[Property]


class Message(_Document):
    """Something that the engine or a plugin said."""

    severity: str
    text: str
    urn: str


class Run(_Document):
    """`provision preview`, `up`, `down` and `refresh`."""

    schema_: Annotated[Literal[1], Field(alias="schema", description="Version of this document.")]
    command: Literal["preview", "up", "down", "refresh"]
    project: str
    stack: str
    succeeded: bool
    exit_code: int
    summary: str
    steps: list[Step]
    unchanged: Annotated[int, Field(ge=0)]
    messages: list[Message]
    downgraded: Annotated[dict[str, str], Field(description="Policies that are not enforced, and why.")]
    outputs: dict[str, Any]


class Event(_Document):
    """One line of the file of `--events`."""

    schema_: Annotated[Literal[1], Field(alias="schema", description="Version of the lines.")]
    time: Annotated[str, Field(description="When, as in RFC 3339, in UTC.")]
    command: str
    kind: Annotated[
        Literal["begin", "step", "message", "call", "retry", "phase", "end"], Field(description="What it tells of.")
    ]
    phase: Annotated[Literal["started", "done", "failed"] | None, Field(description="Of a step.")] = None
    op: Annotated[
        str | None, Field(description="Of a step: the engine's operation; of a retry: what the plugin does.")
    ] = None
    type: Annotated[str | None, Field(description="Of a step: type token of the resource.")] = None
    name: Annotated[str | None, Field(description="Of a step: the resource's name.")] = None
    urn: Annotated[
        str | None, Field(description="Of a step, message, call or retry; empty when it is for no single resource.")
    ] = None
    seconds: Annotated[
        float | None, Field(ge=0, description="How long the step, call or phase, or at the end the run, took.")
    ] = None
    call: Annotated[str | None, Field(description="Of a call of the platform's API: its name.")] = None
    failure: Annotated[
        str | None, Field(description="Of a call or retry: what went wrong, as a code or the name of an error.")
    ] = None
    attempt: Annotated[int | None, Field(ge=1, description="Of a retry: how often it was tried.")] = None
    wait: Annotated[float | None, Field(ge=0, description="Of a retry: seconds until the next try.")] = None
    properties: Annotated[list[str] | None, Field(description="Of a step: paths of what changes.")] = None
    severity: Annotated[str | None, Field(description="Of a message.")] = None
    text: Annotated[str | None, Field(description="Of a message, or of a phase what was done in it.")] = None
    parts: Annotated[
        int | None, Field(ge=0, description="Of a phase: to how many machines, or whatever it is done to.")
    ] = None


class HeldLock(_Document):
    """A lock on a stack."""

    user: str
    host: str
    process: Annotated[int, Field(description="Id of the engine's process on that host.")]
    since: Annotated[str | None, Field(description="As in RFC 3339; null when the backend does not say.")]
    holder: Annotated[
        Literal["runs", "gone", "elsewhere"],
        Field(description="Whether that process runs on this machine, is gone, or cannot be seen from here."),
    ]


class StateLocks(_Document):
    """`provision state locks`."""

    schema_: Annotated[Literal[1], Field(alias="schema", description="Version of this document.")]
    project: str
    stack: str
    locks: list[HeldLock]


class PendingOperation(_Document):
    """What a killed run was doing."""

    name: str
    urn: str
    operation: Annotated[str, Field(description="`creating`, `updating`, `deleting`, …")]
    next: Annotated[str, Field(description="What becomes of it.")]


class StatePending(_Document):
    """`provision state pending`."""

    schema_: Annotated[Literal[1], Field(alias="schema", description="Version of this document.")]
    project: str
    stack: str
    pending: list[PendingOperation]


DOCUMENTS: dict[str, type[BaseModel]] = {
    "event": Event,
    "proof": Proof,
    "run": Run,
    "self-test": SelfTest,
    "state-locks": StateLocks,
    "state-pending": StatePending,
    "validate": Validation,
    "verify": Verification,
    "verify-static": StaticVerification,
}


def schema(name: str) -> dict[str, Any]:
    """The published schema of a document.

    Raises:
        KeyError: there is none of that name.
    """
    made = DOCUMENTS[name].model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}
