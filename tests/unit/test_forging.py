"""False senders: what is tried of which machine, the frames themselves, and what is concluded of what arrives."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

import pytest
import yaml
from verify_network import FakeChannel, FakeProvider, deployed_for, following

from provision.diagnostics import SourceMap
from provision.errors import PlatformError
from provision.loader import Loaded
from provision.models import Stack
from provision.packets import Service
from provision.spi import FRAME_MARK, DeployedMachine, Evidence, Frame
from provision.verify import VerifyReport, verify
from provision.verify.forging import frames
from provision.verify.forging.plan import NOBODY
from provision.verify.judge import Outcome
from provision.verify.report import Standing
from provision.verify.words import differences

MARK = "0123abcd"


def make(policies: str = "") -> Stack:
    text = f"""
        version: 1
        networks: {{lan: {{cidr: 10.0.0.0/24, cidr6: "fd00::/64"}}, far: {{cidr: 10.0.1.0/24}}}}
        machines:
          web: {{image: micro, count: 2, memory: 96MiB, nics: [{{network: lan}}]}}
          db: {{image: micro, memory: 96MiB, nics: [{{network: lan}}]}}
          lone: {{image: micro, memory: 96MiB, nics: [{{network: far}}]}}
        isolation:
          services: {{nd: true}}
          policies:
            own: {{kind: anti_spoofing, machines: ["machine.*"]}}
            web-to-db: {{kind: traffic, from: [machine.web], to: [machine.db], allow: [tcp/5432]}}
            {policies}
    """
    return Stack.model_validate(yaml.safe_load(text))


@dataclass
class Air:
    """A segment that carries frames; `stops` says which do not arrive."""

    macs: dict[str, str]
    stops: Callable[[str, bytes], bool]
    heard: dict[str, set[str]] = field(default_factory=dict)
    sent: list[bytes] = field(default_factory=list)
    old: frozenset[str] = frozenset()


@dataclass
class Framed(FakeChannel):
    """A channel that sends frames as they are."""

    air: Air = None  # type: ignore[assignment]

    def watch(self) -> None:
        if self.name in self.air.old:
            raise PlatformError("the agent is older than this program")
        self.air.heard[self.name] = set()

    def transmit(self, given: Sequence[Frame]) -> Sequence[str]:
        for one in given:
            assert self.air.macs[one.card] == self.name
            self.air.sent.append(one.data)
            to = self.air.macs[one.data[:6].hex(":")]
            if not self.air.stops(one.card, one.data):
                at = one.data.index(FRAME_MARK) + len(FRAME_MARK)
                self.air.heard[to].add(one.data[at : at + 8].decode())
        return [""] * len(given)

    def heard(self) -> frozenset[str]:
        return frozenset(self.air.heard[self.name])


class Provider(FakeProvider):
    """Hands out such channels."""

    air: Air

    def probe_channel(self, session: Any, machine: DeployedMachine) -> FakeChannel:
        plain = super().probe_channel(session, machine)
        return Framed(plain.world, plain.name, self.air)


def honest(card: str, data: bytes) -> bool:
    """Whether a frame says of its sender what is so; addresses are those that the fixture gives by MAC."""
    own4, own6 = f"10.0.0.{9 + int(card[-2:], 16)}", f"fd00::{9 + int(card[-2:], 16):x}"
    kind, body = data[12:14].hex(), data[14:]
    if data[6:12].hex(":") != card:
        return False
    if kind == "0806":
        return body[8:14].hex(":") == card and str(ip_address(body[14:18])) == own4
    return str(ip_address(body[12:16] if kind == "0800" else body[8:24])) in (own4, own6)


def tried(stack: Stack, stops: Callable[[str, bytes], bool], old: Sequence[str] = ()) -> tuple[VerifyReport, Air]:
    deployed = deployed_for(stack)
    order = list(deployed.assigned)
    assigned = {
        key: replace(one, mac=f"02:00:00:00:01:{at + 1:02x}") for at, (key, one) in enumerate(deployed.assigned.items())
    }
    deployed = replace(deployed, assigned=assigned)
    air = Air({assigned[key].mac: key.partition("/")[0] for key in order}, stops, old=frozenset(old))
    provider: Any = Provider(following(stack, deployed))
    provider.air = air
    loaded = Loaded(stack, SourceMap(), (), None)  # type: ignore[arg-type]
    return verify(loaded, deployed, provider, None), air


def found(report: VerifyReport) -> dict[tuple[str, str, int], Outcome]:
    return {
        (row.source, row.service, row.family): row.outcome for row in report.rows if row.service.startswith("false ")
    }


def test_machines_that_are_held_to_their_identity_are_seen_to_be() -> None:
    report, air = tried(make(), lambda card, data: not honest(card, data))
    expected = {
        (name, f"false {claim}", 4): Outcome.AGREES for name in ("web-0", "web-1", "db") for claim in ("mac", "arp")
    }
    expected |= {(name, "false ip", family): Outcome.AGREES for name in ("web-0", "web-1") for family in (4, 6)}
    assert found(report) == expected
    own = next(policy for policy in report.policies if policy.name == "own")
    assert (own.standing, own.evidence[Evidence.PROBED]) == (Standing.PROVEN, "10 probes agree")
    assert len(air.sent) == 20
    assert {(item.count, item.what): item.why for item in report.left_out if "sender" in item.what} == {
        (3, "false senders"): "no other machine on their network could watch",
        (2, "false senders"): "no two machines on their network may send the same to a third, by which a false address "
        "would show",
    }


@pytest.mark.parametrize(
    ("claim", "passes"),
    [
        ("mac", lambda card, data: data[6:12].hex(":") == NOBODY),
        ("arp", lambda card, data: data[12:14] == b"\x08\x06" and data[6:12].hex(":") == card),
        ("ip", lambda card, data: data[12:14] != b"\x08\x06"),
    ],
)
def test_a_false_sender_that_passes_is_found_and_worded(claim: str, passes: Any) -> None:
    report, _ = tried(make(), lambda card, data: not (honest(card, data) or passes(card, data)))
    differ = {service for (_, service, _), outcome in found(report).items() if outcome is Outcome.DIFFERS}
    assert differ == {f"false {claim}"}
    assert report.exit_code == 3
    said = next(line for line in differences(report) if line.startswith(f"false {claim} web-0 (10.0.0.10) -> "))
    assert said.endswith("but policy 'own' in stack.yaml denies it")
    assert {"mac": NOBODY, "arp": "10.0.0.254", "ip": "10.0.0.11 of web-1, with tcp/5432"}[claim] in said


def test_without_the_true_frame_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.verify.forging.trying._SECONDS", 0.01)
    report, _ = tried(make(), lambda card, data: True)
    assert set(found(report).values()) == {Outcome.UNPROVEN}
    rows = [row for row in report.rows if row.service.startswith("false ")]
    assert {row.attempts for row in rows} == {3}
    assert {row.note for row in rows if row.source == "db"} == {"db: not even the true sender's frame arrives"}
    assert report.exit_code == 3


def test_a_machine_whose_agent_cannot_is_counted_with_its_reason_and_is_no_failure() -> None:
    report, _ = tried(make(), lambda card, data: not honest(card, data), old=["db"])
    assert {source for source, _, _ in found(report)} <= {"web-0"}  # all others are watched by db, or are db
    left = sum(item.count for item in report.left_out if "older" in item.why)
    assert left + len(found(report)) == 10
    assert report.exit_code == 0


def test_only_what_a_policy_forbids_is_tried_and_machines_apart_do_not_watch_each_other() -> None:
    stack = make("apart: {kind: peer_isolation, machines: [machine.web]}")
    policies = dict(stack.isolation.policies)
    policies["own"] = policies["own"].model_copy(update={"arp": False, "ip": False})
    stack = stack.model_copy(update={"isolation": stack.isolation.model_copy(update={"policies": policies})})
    report, _ = tried(stack, lambda card, data: not honest(card, data))
    assert {service for _, service, _ in found(report)} == {"false mac"}
    pairs = {(row.source, row.destination) for row in report.rows if row.service == "false mac"}
    assert not {("web-0", "web-1"), ("web-1", "web-0")} & pairs


def test_a_stack_without_such_a_policy_sends_no_frame() -> None:
    stack = make()
    policies = {name: one for name, one in stack.isolation.policies.items() if name != "own"}
    stack = stack.model_copy(update={"isolation": stack.isolation.model_copy(update={"policies": policies})})
    report, air = tried(stack, lambda card, data: False)
    assert (found(report), air.sent) == ({}, [])


# ---- the frames, read by other code than made them


def summed(data: bytes) -> int:
    """The sum of RFC 1071 over data with its own checksum in it: 0xffff when that is right."""
    total = sum(int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big") for at in range(0, len(data), 2))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return total


ONE = frames.Station("02:00:00:00:00:0a", ip_address("10.0.0.10"))
TWO = frames.Station("02:00:00:00:00:0b", ip_address("10.0.0.11"))
ONE6 = frames.Station(ONE.mac, ip_address("fd00::a"))
TWO6 = frames.Station(TWO.mac, ip_address("fd00::b"))


@pytest.mark.parametrize(
    ("service", "number"), [("tcp/5432", 6), ("udp/53", 17), ("icmp/8.0", 1), ("tcp/1", 6), ("udp/65535", 17)]
)
def test_a_packet_of_ipv4_is_what_a_kernel_takes(service: str, number: int) -> None:
    data = frames.packet(ONE, TWO, Service.parse(service), MARK)
    assert data[:14].hex() == "02000000000b02000000000a0800"
    head, body = data[14:34], data[34 : 14 + int.from_bytes(data[16:18], "big")]
    assert (head[0], head[9], head[12:16], head[16:20]) == (0x45, number, bytes([10, 0, 0, 10]), bytes([10, 0, 0, 11]))
    assert summed(head) == 0xFFFF
    pseudo = head[12:20] + struct.pack("!BBH", 0, number, len(body)) if number != 1 else b""
    assert summed(pseudo + body) == 0xFFFF
    if number != 1:
        assert struct.unpack("!H", body[2:4])[0] == Service.parse(service).first
    if number == 6:
        assert (body[12] >> 4, body[13]) == (5, 2)
    assert FRAME_MARK + MARK.encode() in body


@pytest.mark.parametrize(("service", "number"), [("tcp/5432", 6), ("udp/53", 17), ("icmpv6/128.0", 58)])
def test_a_packet_of_ipv6_is_what_a_kernel_takes(service: str, number: int) -> None:
    data = frames.packet(ONE6, TWO6, Service.parse(service), MARK)
    assert data[12:14].hex() == "86dd"
    head, body = data[14:54], data[54:]
    assert (head[0] >> 4, int.from_bytes(head[4:6], "big"), head[6]) == (6, len(body), number)
    assert summed(head[8:40] + struct.pack("!II", len(body), number) + body) == 0xFFFF
    assert FRAME_MARK + MARK.encode() in body


def test_an_announcement_fits_the_shortest_frame_and_claims_what_it_is_told() -> None:
    data = frames.announcement(ONE, TWO.mac, MARK, NOBODY)
    assert len(data) == 60
    assert (data[:6].hex(":"), data[6:12].hex(":"), data[12:14].hex()) == (TWO.mac, NOBODY, "0806")
    assert struct.unpack("!HHBBH", data[14:22]) == (1, 0x0800, 6, 4, 1)
    assert (data[22:28].hex(":"), data[28:32], data[38:42]) == (ONE.mac, ONE.address.packed, ONE.address.packed)
    assert FRAME_MARK + MARK.encode() in data[42:]
