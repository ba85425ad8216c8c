"""Translation of stack files without an account, for tests of what becomes of them."""

import pytest
import yaml
from provision_aws.capabilities import BEST
from provision_aws.provider import AwsProvider

from provision.diagnostics import DiagnosticSink, Severity
from provision.errors import StackFileError
from provision.models import Stack
from provision.spi import Capabilities
from provision.translate import Scope, address_inputs, allocate, negotiate, translate

PROVIDER = AwsProvider()
SCOPE = Scope("shop", "dev", ".")


def planned(text, *, whole=False, **facts):
    """The nodes by name; as a `whole` the graph, what the account told, and the addresses."""
    stack = Stack.model_validate({"version": 1, **yaml.safe_load(text)})
    told = Capabilities("aws", BEST | facts)
    decisions = negotiate(stack, PROVIDER, told, DiagnosticSink())
    assigned, failures = allocate(address_inputs(stack, SCOPE, PROVIDER), {})
    assert not failures
    made = translate(stack, PROVIDER, told, decisions, assigned, SCOPE, DiagnosticSink())
    if whole:
        return made.graph, told, made.addresses
    return {node.name: node for node in made.graph.nodes}


def refused(text, **facts):
    """The errors in words."""
    with pytest.raises(StackFileError) as error:
        planned(text, **facts)
    return [one.summary for one in error.value.diagnostics if one.severity is Severity.ERROR]


def warned(text, **facts):
    """The warnings in words."""
    sink = DiagnosticSink()
    stack = Stack.model_validate({"version": 1, **yaml.safe_load(text)})
    negotiate(stack, PROVIDER, Capabilities("aws", BEST | facts), sink)
    return [one.summary for one in sink if one.severity is Severity.WARNING]
