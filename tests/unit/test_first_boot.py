"""First-boot data from the file to the plugin: what is expanded where, what is secret, and what is refused."""

import pytest
import yaml
from pydantic import SecretStr

from provision.diagnostics import DiagnosticSink
from provision.errors import StackFileError
from provision.loader import load
from provision.spi import NicAddress
from provision.translate.instances import instances
from provision.translate.texts import user_data

HEAD = """\
version: 1
platform: libvirt
parameters:
  token: {secret: true}
  motto: {default: onward}
networks:
  lan: {cidr: 10.0.0.0/24, domain: example.org}
"""


@pytest.fixture
def rendered(tmp_path):
    """User data of every machine of a file."""

    def render(machines, **values):
        (tmp_path / "stack.yaml").write_text(f"{HEAD}{machines}")
        loaded = load(tmp_path, values={"token": SecretStr("hush"), **values})
        made = list(instances(loaded.stack))
        addresses = {
            one.name: tuple(
                NicAddress(nic.network, "02:00:00:00:00:01", f"10.0.0.{number}") for nic in one.machine.nics
            )
            for number, one in enumerate(made, start=10)
        }
        sink = DiagnosticSink(loaded.source_map)
        found = user_data(loaded.stack, made, addresses, sink)
        if sink.has_errors:
            raise StackFileError(tuple(sink), loaded.source_map)
        return found

    return render


def document(text):
    clear = text.get_secret_value() if isinstance(text, SecretStr) else text
    return yaml.safe_load(clear)


def test_each_machine_has_its_own_and_one_without_words_has_none(rendered):
    found = rendered(
        """\
machines:
  web: {image: micro, memory: 1GiB, count: 2, nics: [{network: lan}], cloud_init: {packages: [vim]}}
  bare: {image: micro, memory: 1GiB}
"""
    )
    assert found.keys() == {"web-0", "web-1"}
    assert document(found["web-1"]) == {"hostname": "web-1", "fqdn": "web-1.example.org", "packages": ["vim"]}
    assert isinstance(found["web-0"], str)


def test_files_and_commands_are_expanded_when_asked_and_other_fields_always(rendered):
    text = """\
machines:
  web:
    image: micro
    memory: 1GiB
    nics: [{network: lan}]
    cloud_init:
      template: TEMPLATE
      packages: ["${param.motto}"]
      write_files: [{path: "/etc/${param.motto}", content: "$${HOME} ${machine.web.address} ${param.motto}"}]
      runcmd: ["echo $${HOME} ${machine.web.address}", [echo, "${machine.web.name}"]]
"""
    filled = document(rendered(text.replace("TEMPLATE", "true"))["web"])
    assert filled["packages"] == ["onward"]
    assert filled["write_files"] == [{"path": "/etc/onward", "content": "${HOME} 10.0.0.10 onward"}]
    assert filled["runcmd"] == ["echo ${HOME} 10.0.0.10", ["echo", "web"]]
    plain = document(rendered(text.replace("TEMPLATE", "false"))["web"])
    assert plain["packages"] == ["onward"]
    assert plain["write_files"] == [
        {"path": "/etc/onward", "content": "$${HOME} ${machine.web.address} ${param.motto}"}
    ]
    assert plain["runcmd"] == ["echo $${HOME} ${machine.web.address}", ["echo", "${machine.web.name}"]]


@pytest.mark.parametrize(
    "words",
    [
        'users: [{name: op, plain_text_passwd: "${param.token}"}]',
        'template: true, write_files: [{path: /x, content: "t=${param.token} $${HOME}"}]',
        'template: true, runcmd: ["use ${param.token}"]',
        'template: true, runcmd: [[use, "${param.token}"]]',
    ],
)
def test_a_secret_makes_all_of_it_secret(rendered, words):
    found = rendered(f"machines:\n  web: {{image: micro, memory: 1GiB, cloud_init: {{{words}}}}}\n")["web"]
    assert isinstance(found, SecretStr)
    assert "hush" in found.get_secret_value()


def test_user_data_and_cloud_init_come_together(rendered):
    found = rendered(
        """\
machines:
  web:
    image: micro
    memory: 1GiB
    cloud_init: {packages: [vim]}
    user_data: {text: "#!/bin/sh\\necho ${param.token}\\n", template: true}
"""
    )["web"]
    assert isinstance(found, SecretStr)
    assert found.get_secret_value().startswith("Content-Type: multipart/mixed;")


def test_user_data_that_cannot_be_told_from_the_rest_is_refused_once_and_at_its_place(rendered):
    with pytest.raises(StackFileError) as refused:
        rendered(
            """\
machines:
  web:
    image: micro
    memory: 1GiB
    count: 3
    cloud_init: {packages: [vim]}
    user_data: echo hello
"""
        )
    (found,) = refused.value.diagnostics
    assert found.path == ("machines", "web", "user_data")
    assert found.position.line == 14
    assert found.fix.startswith("begin it with '#!/bin/sh' or '#cloud-config'")


def test_a_machine_that_is_not_there_is_refused_once(rendered):
    with pytest.raises(StackFileError) as refused:
        rendered(
            "machines:\n  web: {image: micro, memory: 1GiB, count: 2, nics: [{network: lan}], cloud_init: "
            '{template: true, runcmd: ["ping ${machine.wbe-0.address}"]}}\n'
        )
    assert [found.summary for found in refused.value.diagnostics] == ["there is no machine 'wbe-0'"]
