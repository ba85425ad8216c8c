"""A stack file as commands that start no engine run load it: with its configuration, and what other stacks export."""

import pytest
from pydantic import SecretStr

from provision.cli.planned import load_configured
from provision.errors import StackFileError, UserError

STACK = """
version: 1
platform: memory
references: {shared: {stack: organization/shared/dev}}
networks: {lan: {cidr: 10.1.0.0/24}}
machines: {web: {image: base, memory: 64MiB, nics: [{network: lan}]}}
isolation:
  policies:
    in: {kind: traffic, from: [reference.shared.net], to: [machine.web], allow: [tcp/80]}
"""


class Workspace:
    project, stack_name = "shop", "dev"

    def __init__(self, outputs):
        self.outputs = outputs

    def outputs_of(self, stack):
        if stack not in self.outputs:
            raise UserError(f"no stack named '{stack}' found")
        return self.outputs[stack]


@pytest.fixture
def load(tmp_path):
    (tmp_path / "stack.yaml").write_text(STACK)

    def load(**outputs):
        return load_configured(tmp_path, Workspace({"organization/shared/dev": outputs} if outputs else {}), {})

    return load


def test_peers_of_another_stack_are_what_it_exports_now(load):
    loaded = load(net=["10.8.0.0/24", "10.9.0.7"], other=SecretStr("s"))
    peers = loaded.stack.isolation.policies["in"].sources
    assert [str(peer) for peer in peers] == ["10.8.0.0/24", "10.9.0.7/32"]
    assert loaded.unknown == frozenset()


def test_what_the_other_stack_does_not_export_any_more_is_said(load):
    with pytest.raises(StackFileError) as caught:
        load(nets=["10.8.0.0/24"])
    assert [found.summary for found in caught.value.diagnostics] == ["the reference 'shared' has no output 'net'"]


def test_another_stack_that_is_not_there_is_said(load):
    with pytest.raises(UserError, match="no stack named 'organization/shared/dev'"):
        load()
