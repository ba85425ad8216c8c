"""Stacks deployed on the emulated EC2 without the engine: each native resource made in order by its own type."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from provision_aws.config import AwsConfig
from provision_aws.provider import AwsProvider
from provision_aws.session import Session

from provision.errors import StackFileError
from provision.loader import load
from provision.spi import (
    ChoiceRequest,
    CreateRequest,
    DeployedMachine,
    EvidenceRequest,
    LiveRulesRequest,
    NativeState,
    Operation,
    Output,
    RulesRequest,
)
from provision.translate import Scope, capabilities_of
from provision.verify.proof.planned import planned

STACK = "ab" * 16
_STICKY = {"ec2:Instance": ("image_id", "instance_type"), "ec2:Volume": ("snapshot_id",)}


def resolved(value, made):
    """Inputs with what is known by now of other resources."""
    if isinstance(value, Output):
        one = made[value.node]
        return one.id if value.property == "id" else one.outputs[value.property]
    if isinstance(value, Mapping):
        return {key: resolved(item, made) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolved(item, made) for item in value]
    return value


def make(session, node, made):
    """One native resource, as the engine's state would have it."""
    urn = f"urn:pulumi:dev::shop::provision-aws:{node.type.token}::{node.name}"
    operation = Operation(urn=urn, session=session, wait=lambda seconds: bool(time.sleep(seconds)))
    given = {"stack_id": STACK, **resolved(node.inputs, made)}
    kind = node.type()
    for field in _STICKY.get(kind.token, ()):
        if given.get(field) is None:
            given[field] = kind.choose(ChoiceRequest(operation, field, given))
    inputs = kind.Inputs.model_validate(given)
    created = kind.create(CreateRequest(operation, inputs))
    return NativeState(kind.token, node.name, created.id, created.outputs.model_dump(), inputs.model_dump())


@dataclass
class Deployed:
    """A stack that is there."""

    session: Session
    part: object
    made: dict

    @property
    def machines(self):
        names = self.part.addresses
        return {
            name: DeployedMachine(
                name, tuple(one for key, one in self.made.items() if key.startswith(f"machines/{name}/"))
            )
            for name in names
        }

    @property
    def shared(self):
        return tuple(one for key, one in self.made.items() if not key.startswith("machines/"))

    def live(self, space):
        request = LiveRulesRequest(space, list(self.machines.values()), self.part.addresses)
        return AwsProvider().read_live_rules(self.session, request)

    def rules(self, space):
        """What to read of the graph."""
        return RulesRequest(space, self.part.graph, self.part.addresses, self.part.capabilities)

    def shown(self, name, *policies):
        """Evidence of policies of the file about one machine: kind, whether it holds, text."""
        asked = [self.part.stack.isolation.policies[one] for one in policies]
        members = tuple(tuple(self.machines.values()) for _ in asked)
        request = EvidenceRequest(self.machines[name], tuple(asked), self.shared, members)
        answers = AwsProvider().evidence(self.session, request)
        return [[(str(one.kind), one.holds, one.text) for one in answer] for answer in answers]

    def afresh(self):
        """The same, looked at by another process."""
        return Deployed(Session(self.session.config), self.part, self.made)


def deploy(config, directory, text):
    """Translate a stack file and make everything of it."""
    (directory / "stack.yaml").write_text(text)
    loaded = load(directory / "stack.yaml")
    provider, session = AwsProvider(), Session(AwsConfig.model_validate(config))
    try:
        told = capabilities_of(provider, session, loaded.stack)
        (part,) = planned(loaded, provider, told, Scope("shop", "dev", str(directory)), {})
    except StackFileError as error:
        raise AssertionError("\n".join(map(str, error.diagnostics))) from None
    made = {}
    for node in part.graph.nodes:
        made[node.name] = make(session, node, made)
    return Deployed(session, part, made)
