"""How far a guest is with its first boot, by its guest agent: what it says, and what becomes of it."""

import base64
import json

import libvirt
import pytest
from provision_libvirt.resources import agent, guest
from provision_libvirt.resources.domain_model import DomainInputs, DomainOutputs
from provision_libvirt.resources.readiness import failures, running

from provision.errors import CreatedButUnhealthy
from provision.spi import Operation


def status(stage):
    return json.dumps({"v1": {"stage": stage, "datasource": "DataSourceNoCloud", "init": {"errors": []}}})


def result(*errors):
    return json.dumps({"v1": {"datasource": "DataSourceNoCloud", "errors": list(errors)}})


PARTS = "RuntimeError('Runparts: 1 failures (runcmd) in 1 attempted commands')"
BROKEN = f"('scripts-user', {PARTS})"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n" + status("init-local"), "cloud-init is looking for its seed"),
        ("\n" + status("init"), "cloud-init is setting up disks, users and files"),
        ("noise\n" + status("modules-config"), "cloud-init is configuring the system"),
        (
            "Setting up nginx (1.22) ...\n\n" + status("modules-final"),
            "cloud-init is installing packages and running commands: Setting up nginx (1.22) ...",
        ),
        ("\n" + status("modules-of-a-later-release"), "cloud-init is starting"),
        ("\n" + status(None), "cloud-init is starting"),
        ("\n", "cloud-init is starting"),
        ("", "cloud-init is starting"),
        ('\n{"v1": ', "cloud-init is starting"),
    ],
)
def test_how_far_it_is_is_said_in_words(text, said):
    assert running(text) == said


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (result(), []),
        (result(BROKEN), [f"module 'scripts-user': {PARTS}"]),
        (result("Can not apply stage final"), ["Can not apply stage final"]),
        ('{"v1": {', ["its result cannot be read"]),
        ("[]", ["its result cannot be read"]),
    ],
)
def test_what_failed_is_named_with_its_module(text, found):
    assert failures(text) == found


def failure(code, text="it failed"):
    error = libvirt.libvirtError(text)
    error.args = (text,)  # else it would be the last error of this thread
    error.err = (code, libvirt.VIR_FROM_QEMU, text, 2, "", None, None, -1, -1)
    return error


class Guest:
    """A domain whose agent gives one answer after another, the last of them for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.scripts = []
        self.on = libvirt.VIR_DOMAIN_RUNNING

    def state(self):
        return self.on, 0

    def command(self, request):
        call = json.loads(request)
        if call["execute"] == "guest-exec":
            self.scripts.append(call["arguments"]["arg"][1])
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, Exception):
                raise answer
            self.said = answer(self.scripts[-1]) if callable(answer) else answer
            return json.dumps({"return": {"pid": 7}})
        out = base64.b64encode(self.said.encode()).decode()
        return json.dumps({"return": {"exited": True, "exitcode": 0, "out-data": out}})


INPUTS = DomainInputs(
    stack_id="s", pool="p", name="shop-dev-web", memory_mib=512, ready="agent", ready_timeout_s=30, console_log=False
)
OUTPUTS = DomainOutputs(name="shop-dev-web", pool="p", probe_channel=False, uuid="u", console_path=None)
SILENT = failure(libvirt.VIR_ERR_AGENT_UNRESPONSIVE, "QEMU guest agent is not connected")


@pytest.fixture
def wait(monkeypatch):
    monkeypatch.setattr(
        agent.libvirt_qemu, "qemuAgentCommand", lambda domain, request, timeout, flags: domain.command(request)
    )
    said, noted = [], []

    def run(domain, inputs=INPUTS):
        operation = Operation(
            "urn:pulumi:dev::shop::t::machines/web/domain", None, report=said.append, note=noted.append
        )
        guest.wait_ready(operation, None, domain, inputs, OUTPUTS)

    run.said, run.noted = said, noted
    return run


def test_it_is_waited_for_until_cloud_init_is_done_and_said_how_far_it_is(wait):
    wait(Guest(SILENT, "running\n\n" + status("init"), "done\n" + result()))
    assert wait.said == [
        "waiting for the guest (0 s): its guest agent does not answer yet",
        "waiting for the guest (0 s): cloud-init is setting up disks, users and files",
    ]


def test_a_guest_without_cloud_init_is_ready_when_its_agent_answers(wait):
    wait(Guest("none\n"))
    assert wait.noted == []


def test_cloud_init_that_is_disabled_is_noted(wait):
    wait(Guest("disabled\n"))
    assert wait.noted == ["cloud-init is disabled in 'shop-dev-web': its user data was not looked at"]


def test_an_agent_that_may_run_nothing_is_noted(wait):
    wait(Guest(failure(libvirt.VIR_ERR_INTERNAL_ERROR, "The command guest-exec has been disabled for this instance")))
    assert wait.noted == [
        "the guest agent of 'shop-dev-web' may not run commands, so nobody looked whether cloud-init is done"
    ]


def test_a_set_up_that_failed_is_shown_with_module_and_log(wait):
    domain = Guest("done\n" + result(BROKEN), "it goes wrong\n\n\x1b[31mred\x1b[0m\n")
    with pytest.raises(CreatedButUnhealthy) as failed:
        wait(domain)
    assert failed.value.id == "u"
    assert failed.value.summary.startswith(
        "the machine 'shop-dev-web' is not ready after 0 s: cloud-init failed: module"
    )
    assert failed.value.reasons == (
        f"module 'scripts-user': {PARTS}",
        "the end of /var/log/cloud-init-output.log in the guest:",
        "  it goes wrong",
        "  red",
        "cloud-init runs once in the life of a root disk: mend the stack file, then have the disk made anew: "
        "PROVISION_ALLOW_DESTROY=web pulumi up --replace '**::machines/web/root'",
    )
    assert "cloud-init-output.log" in domain.scripts[-1]


def test_a_guest_that_stopped_is_not_waited_for(wait):
    domain = Guest(SILENT)
    domain.on = libvirt.VIR_DOMAIN_SHUTOFF
    with pytest.raises(CreatedButUnhealthy, match="it switched itself off"):
        wait(domain)


def test_one_that_takes_too_long_is_told_with_what_it_said_last(wait):
    with pytest.raises(CreatedButUnhealthy, match="cloud-init is configuring the system"):
        wait(Guest("running\n\n" + status("modules-config")), INPUTS.model_copy(update={"ready_timeout_s": 1}))
