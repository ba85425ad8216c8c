"""Evidence beside probes: what plugins show of machines and rules, what of it is told, and what it decides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
from test_verify_intent import traffic
from test_verify_proof import LEAK, LEAK_TEXT
from test_verify_run import agreeing, loaded, three_tiers
from verify_network import FakeProvider, World, deployed_for

from provision.errors import PlatformError, UserError
from provision.models import Share, Stack
from provision.spi import Capabilities, Evidence, EvidenceRequest, ResourceGraph, SettingsRequest, Shown
from provision.verify import PolicyRecord, Standing, VerifyReport, as_data, evidence, markdown, verify
from provision.verify.held import entries
from provision.verify.proof import Part, Proof
from provision.verify.words import differences, gaps, shown, summary

A, E, T = Evidence.ACCEPTED, Evidence.EFFECTIVE, Evidence.TRANSLATED
Answer = Callable[[str, str], Sequence[Shown]]


@dataclass
class Showing(FakeProvider):
    """A platform that answers by machine and kind."""

    answer: Answer = lambda machine, kind: ()
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    shared: list[Any] = field(default_factory=list)

    def evidence(self, session: Any, request: EvidenceRequest) -> Sequence[Sequence[Shown]]:
        kinds = ["share" if isinstance(item, Share) else item.kind for item in request.asked]
        self.asked.append((request.machine.name, kinds))
        return [self.answer(request.machine.name, kind) for kind in kinds]


@dataclass
class Reading(FakeProvider):
    """A platform whose rules can be read."""

    def read_rules(self, request: Any) -> Any: ...

    def capabilities(self, session: Any) -> Capabilities:
        return Capabilities("pretend")


def pinned(**more: Any) -> dict[str, Any]:
    return {"kind": "dedicated_cpus", "machines": ["machine.web"], **more}


def stack(**policies: Any) -> Stack:
    made = three_tiers(**policies).model_dump(by_alias=True, exclude_none=True)
    made["sharing"] = {"shares": {"small": {"machines": ["machine.db"], "cpu": {"cap": 0.5}}}}
    return Stack.model_validate(made)


def report(answer: Answer, made: Stack | None = None, records: dict[str, PolicyRecord] = {}) -> VerifyReport:  # noqa: B006 - only read
    made = stack(own=pinned()) if made is None else made
    provider = Showing(agreeing(made), answer=answer)
    return verify(loaded(made), deployed_for(made, policies=records), provider, None)  # type: ignore[arg-type]


def both(accepted: bool | None = True, effective: bool | None = True) -> Answer:
    return lambda machine, kind: [Shown(A, accepted, f"{kind} asked"), Shown(E, effective, f"{kind} seen")]


def of(found: VerifyReport, name: str) -> Any:
    return next(item for item in (*found.policies, *found.shares) if item.name == name)


def test_what_all_machines_show_is_told_once_and_proves_the_policy() -> None:
    found = report(both())
    own = of(found, "own")
    assert own.standing is Standing.PROVEN
    assert own.evidence[E] == "web-0, web-1: dedicated_cpus seen"
    assert own.holds == {T: None, A: True, E: True, Evidence.PROBED: None}
    assert of(found, "small").evidence[A] == "db: share asked"
    assert "own, effective: web-0, web-1: dedicated_cpus seen" in shown(found)
    assert found.exit_code == 0
    assert "| own | dedicated_cpus | required | proven | - A E - |  |" in markdown(found)


def test_each_machine_is_asked_once_about_all_that_speaks_of_it() -> None:
    made = stack(own=pinned())
    provider = Showing(agreeing(made), answer=both())
    verify(loaded(made), deployed_for(made), provider, None)  # type: ignore[arg-type]
    asked = dict(provider.asked)
    assert len(provider.asked) == len(asked) == 4
    assert asked["db"] == ["traffic", "share"]
    assert asked["web-0"] == ["traffic", "traffic", "traffic", "dedicated_cpus"]


def test_one_machine_that_differs_is_a_difference_with_its_name_and_exit_code_3() -> None:
    def answer(name: str, kind: str) -> Sequence[Shown]:
        right = (name, kind) != ("web-1", "dedicated_cpus")
        return [Shown(A, True, "pinned to 3"), Shown(E, right, "held to 3" if right else "held to 0-3 instead of 3")]

    found = report(answer)
    assert of(found, "own").standing is Standing.DIFFERS
    assert differences(found) == [
        "policy 'own' (dedicated_cpus) is contradicted by what is effective: web-1: held to 0-3 instead of 3"
    ]
    assert summary(found).endswith("agree, other evidence contradicts 1 policy")
    assert found.exit_code == 3
    assert as_data(found)["policies"][-1]["holds"] == {
        "translated": None, "accepted": True, "effective": False, "probed": None,
    }  # fmt: skip


def test_a_share_that_differs_is_one_too() -> None:
    found = report(lambda machine, kind: [Shown(A, kind != "share", "no cap instead of 0.5")])
    assert differences(found) == ["share 'small' is contradicted by what is accepted: db: no cap instead of 0.5"]
    assert found.exit_code == 3
    assert as_data(found)["shares"][0]["standing"] == "differs"


def test_a_traffic_policy_whose_rules_were_changed_differs_though_every_probe_agrees() -> None:
    found = report(lambda machine, kind: [Shown(A, kind != "traffic" or machine != "db", "changed by hand")])
    assert of(found, "app-to-db").standing is Standing.DIFFERS
    assert of(found, "world-to-web").standing is Standing.PROVEN
    assert found.counts["differ"] == 0
    assert found.exit_code == 3


@pytest.mark.parametrize(
    ("accepted", "effective", "standing"),
    [
        (True, None, Standing.ACCEPTED),
        (None, True, Standing.PROVEN),
        (None, None, Standing.NOT_SHOWN),
        (False, None, Standing.DIFFERS),
    ],
)
def test_what_cannot_be_seen_is_no_proof_and_its_reason_is_told(
    accepted: bool | None, effective: bool | None, standing: Standing
) -> None:
    found = report(both(accepted, effective))
    assert of(found, "own").standing is standing
    if effective is None:
        assert "no evidence 'effective' of own: dedicated_cpus seen" in gaps(found)
    assert any(line.startswith("nothing at all is shown of own") for line in gaps(found)) is (
        standing is Standing.NOT_SHOWN
    )


def test_a_machine_that_cannot_be_looked_at_proves_nothing() -> None:
    def answer(name: str, kind: str) -> Sequence[Shown]:
        if name == "web-1":
            raise PlatformError("the machine 'web-1' is not there", "run `provision up`")
        return both()(name, kind)

    found = report(answer)
    assert of(found, "own").standing is Standing.UNPROVEN
    assert ", own: web-1: the machine 'web-1' is not there" in "\n".join(gaps(found))
    assert found.exit_code == 3
    assert of(report(answer, stack(own=pinned(level="preferred"))), "own").standing is Standing.UNPROVEN


def test_a_plugin_that_fails_or_miscounts_is_named_and_hides_nothing_else() -> None:
    def answer(name: str, kind: str) -> Sequence[Shown]:
        if name == "web-0":
            raise ZeroDivisionError
        return both()(name, kind)

    found = report(answer)
    assert "web-0: the plugin failed: ZeroDivisionError" in of(found, "own").evidence[A]
    assert of(found, "small").standing is Standing.PROVEN

    class Short(Showing):
        def evidence(self, session: Any, request: EvidenceRequest) -> Sequence[Sequence[Shown]]:
            return []

    made = stack(own=pinned())
    short = verify(loaded(made), deployed_for(made), Short(agreeing(made)), None)  # type: ignore[arg-type]
    assert of(short, "small").evidence[E] == "db: the plugin gave 0 answers to 2 questions"
    assert short.exit_code == 3


def test_of_a_downgraded_policy_nothing_is_asked() -> None:
    record = PolicyRecord("own", "dedicated_cpus", "preferred", "downgrade", "one CPU")
    found = report(both(), stack(own=pinned(level="preferred")), {"own": record})
    assert of(found, "own").standing is Standing.DOWNGRADED
    assert set(of(found, "own").evidence.values()) == {"not enforced here"}
    assert found.exit_code == 0


NOTHING = Proof((), (), 0, 0)


@dataclass(frozen=True)
class Proven(Part):
    """A translation of which the outcome of its proof is known."""

    outcome: Proof = NOTHING

    @classmethod
    def of(cls, made: Stack, outcome: Proof, reader: Any = None, addresses: Any = None) -> "Proven":
        return cls(made, addresses or {}, ResourceGraph((), ()), Capabilities("pretend"), reader, outcome=outcome)

    def prove(self) -> Proof:
        return self.outcome


class Settings:
    """Reads settings: of cores they are as `holds` says."""

    def __init__(self, holds: bool) -> None:
        self.holds = holds

    def read_settings(self, request: SettingsRequest) -> Sequence[Sequence[Shown]]:
        return [
            [Shown(T, self.holds, f"cores of {request.machine}")] if one.kind == "dedicated_cpus" else []
            for one in request.asked
            if not isinstance(one, Share)
        ]


@pytest.mark.parametrize(("holds", "code"), [(True, 0), (False, 3)])
def test_settings_are_held_against_policies_and_prove_nothing_by_themselves(
    monkeypatch: pytest.MonkeyPatch, holds: bool, code: int
) -> None:
    made = three_tiers(own=pinned())
    part = Proven.of(made, Proof((), (), 4, 5), Settings(holds), {"db": (), "app": (), "web-0": (), "web-1": ()})
    monkeypatch.setattr(evidence, "planned", lambda *given: [part])
    found = verify(loaded(made), deployed_for(made), Reading(agreeing(made)), None)  # type: ignore[arg-type]
    assert of(found, "own").holds[T] is holds
    assert of(found, "own").standing is (Standing.NOT_SHOWN if holds else Standing.DIFFERS)
    assert any("cores of" in line for line in differences(found)) is not holds
    assert found.exit_code == code


def reading(monkeypatch: pytest.MonkeyPatch, outcome: Proof | UserError) -> VerifyReport:
    made = three_tiers(held={"kind": "anti_spoofing", "machines": ["machine.web"]}, own=pinned())

    def translate(*given: Any) -> list[Part]:
        if isinstance(outcome, UserError):
            raise outcome
        return [Proven.of(made, outcome)]

    monkeypatch.setattr(evidence, "planned", translate)
    world: World = agreeing(made)
    return verify(loaded(made), deployed_for(made), Reading(world), None)  # type: ignore[arg-type]


def test_a_proof_of_the_rules_is_evidence_of_every_policy_about_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    found = reading(monkeypatch, Proof((), (), 4, 5))
    assert of(found, "app-to-db").holds[T] is of(found, "held").holds[T] is True
    assert of(found, "held").standing is Standing.PROVEN
    assert of(found, "own").holds[T] is None
    assert as_data(found)["translated"]["proven"] is True
    assert found.exit_code == 0


def test_a_difference_of_the_rules_is_told_by_its_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    found = reading(monkeypatch, Proof((LEAK,), (), 4, 5))
    assert differences(found) == [f"translated: {LEAK_TEXT}"]
    assert of(found, "app-to-db").standing is Standing.DIFFERS
    assert found.exit_code == 3


def test_rules_that_differ_count_also_where_nothing_but_the_default_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = Stack.model_validate({**three_tiers().model_dump(by_alias=True, exclude_none=True), "isolation": {}})
    monkeypatch.setattr(evidence, "planned", lambda *given: [Proven.of(bare, Proof((LEAK,), (), 4, 0))])
    found = verify(loaded(bare), deployed_for(bare), Reading(agreeing(bare)), None)  # type: ignore[arg-type]
    assert found.policies == ()
    assert summary(found).endswith("agree, the native rules are not proven")
    assert found.exit_code == 3


def test_rules_that_were_not_understood_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = reading(monkeypatch, Proof((), ("filter-base: the element 'stp' is not understood",), 4, 5))
    assert of(found, "app-to-db").standing is Standing.UNPROVEN
    assert "not understood: filter-base" in "\n".join(gaps(found))
    assert found.exit_code == 3


def test_a_proof_that_cannot_be_had_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    found = reading(monkeypatch, UserError("addresses cannot be given", "run provision preview"))
    assert of(found, "app-to-db").standing is Standing.PROVEN
    assert of(found, "app-to-db").evidence[T] == "the stack file could not be translated: addresses cannot be given"


@dataclass
class Applying(Showing):
    """A platform whose own tables can be read."""

    def read_live_rules(self, session: Any, request: Any) -> Any: ...


def applying(
    monkeypatch: pytest.MonkeyPatch,
    outcome: Proof | str | PlatformError,
    answer: Answer = lambda machine, kind: (),
    kind: Evidence = E,
) -> VerifyReport:
    made = three_tiers(held={"kind": "anti_spoofing", "machines": ["machine.web"]}, own=pinned())

    def prove(*given: Any) -> Proof | str:
        if isinstance(outcome, PlatformError):
            raise outcome
        return replace(outcome, kind=kind) if isinstance(outcome, Proof) else outcome

    monkeypatch.setattr(evidence, "prove_applied", prove)
    return verify(loaded(made), deployed_for(made), Applying(agreeing(made), answer=answer), None)  # type: ignore[arg-type]


def test_rules_that_the_platform_applies_are_evidence_of_every_policy_about_packets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = applying(monkeypatch, Proof((), (), 4, 5))
    assert of(found, "app-to-db").holds[E] is of(found, "held").holds[E] is True
    assert of(found, "held").standing is Standing.PROVEN
    assert of(found, "own").holds[E] is None
    assert as_data(found)["effective"]["proven"] is True
    assert found.exit_code == 0


def test_what_only_the_api_tells_of_live_rules_is_no_evidence_of_what_the_host_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = applying(monkeypatch, Proof((), (), 4, 5), kind=A)
    assert of(found, "app-to-db").holds[A] is True
    assert of(found, "app-to-db").holds[E] is None
    assert as_data(found)["accepted"]["proven"] is True
    assert as_data(found)["effective"] is None


class Unprobed:
    """A platform that sends no packets, and whose rules and settings can be read."""

    name = "cloud"
    asked: ClassVar[list[Any]] = []
    evidence = Showing.evidence
    read_live_rules = Applying.read_live_rules

    @staticmethod
    def answer(machine: str, kind: str) -> Sequence[Shown]:
        return [Shown(A, True, f"{kind} asked")]


@pytest.mark.parametrize(("differing", "code"), [((), 0), ((LEAK,), 3)])
def test_where_nothing_can_be_sent_the_rest_is_shown_and_said_not_to_be_probed(
    monkeypatch: pytest.MonkeyPatch, differing: Any, code: int
) -> None:
    made = three_tiers(own=pinned())
    monkeypatch.setattr(evidence, "prove_applied", lambda *given: Proof(differing, (), 4, 5, A))
    found = verify(loaded(made), deployed_for(made), Unprobed(), None)  # type: ignore[arg-type]
    assert found.exit_code == code
    assert of(found, "own").standing is Standing.ACCEPTED
    assert summary(found).startswith("nothing was probed")
    assert "web-0 was not probed: the platform 'cloud' has no way to send packets from inside its machines" in gaps(
        found
    )


def test_a_rule_that_was_changed_on_the_host_is_told_by_its_packet_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = applying(monkeypatch, Proof((LEAK,), (), 4, 5))
    assert differences(found) == [f"effective: {LEAK_TEXT}"]
    assert of(found, "app-to-db").standing is Standing.DIFFERS
    assert summary(found).endswith("the rules that the platform applies are not proven")
    assert found.exit_code == 3


def test_applied_rules_that_were_not_understood_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = applying(monkeypatch, Proof((), ("the kernel rule '-A FORWARD -m x': '-m x' is not understood",), 4, 5))
    assert of(found, "app-to-db").standing is Standing.UNPROVEN
    assert "'-m x' is not understood" in "\n".join(gaps(found))
    assert found.exit_code == 3


def test_rules_that_cannot_be_seen_say_why_and_nobody_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = applying(monkeypatch, "the host cannot be looked at from here")
    assert of(found, "app-to-db").evidence[E] == "the host cannot be looked at from here"
    assert of(found, "app-to-db").standing is Standing.PROVEN
    assert found.exit_code == 0


def test_rules_that_should_have_been_seen_and_could_not_leave_policies_unproven(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = applying(monkeypatch, PlatformError("the machine 'db' is not there", "run `provision up`"))
    assert of(found, "app-to-db").standing is Standing.UNPROVEN
    assert of(found, "app-to-db").evidence[E] == "the machine 'db' is not there"


@pytest.mark.parametrize(
    ("shown", "outcome", "holds", "text"),
    [
        (True, Proof((), (), 4, 5), True, "web-0, web-1: seen; the rules that the platform applies let pass what the"),
        (False, Proof((), (), 4, 5), False, "web-0, web-1: seen"),
        (True, Proof((LEAK,), (), 4, 5), False, "1 difference between the rules that the platform applies and the"),
        (None, Proof((), (), 4, 5), True, "the rules that the platform applies let pass what the file allows, and"),
        (True, "nobody sees it", True, "web-0, web-1: seen"),
    ],
)
def test_two_looks_at_one_policy_must_agree(
    monkeypatch: pytest.MonkeyPatch, shown: bool | None, outcome: Proof | str, holds: bool, text: str
) -> None:
    found = applying(
        monkeypatch, outcome, lambda machine, kind: [Shown(E, shown, "seen")] if kind == "anti_spoofing" else []
    )
    assert of(found, "held").holds[E] is holds
    assert of(found, "held").evidence[E].startswith(text)


def test_sides_of_traffic_are_machines_labels_networks_and_addresses() -> None:
    made = three_tiers(
        one=traffic("network.back", "outside", "tcp/1"), two=traffic("10.9.9.9/32", "host", "tcp/1"),
        three=traffic("host", "outside", "tcp/1"),
    )  # fmt: skip
    assert entries(made, made.isolation.policies["one"]) == {"app", "db"}
    assert entries(made, made.isolation.policies["two"]) == {"web", "app", "db"}
    assert entries(made, made.isolation.policies["three"]) == frozenset()


def test_what_a_plugin_keeps_is_there_for_the_next_machine_and_gone_with_the_look() -> None:
    counts: list[int] = []

    class Keeping(Showing):
        def evidence(self, session: Any, request: EvidenceRequest) -> Sequence[Sequence[Shown]]:
            request.kept["machines"] = request.kept.get("machines", 0) + 1
            counts.append(request.kept["machines"])
            return super().evidence(session, request)

    made = stack(own=pinned())
    for _ in range(2):
        verify(loaded(made), deployed_for(made), Keeping(agreeing(made), answer=both()), None)  # type: ignore[arg-type]
    assert counts == [1, 2, 3, 4] * 2
