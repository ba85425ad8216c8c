"""What a failure of the engine itself means, and what a person can do about it."""

from provision.errors import EnvironmentProblem, ProvisionError
from provision.host.events import plain_text


def explained(text: str) -> ProvisionError:
    """The failure of an engine command that ended before it could say anything in an event."""
    said = _last_line(text)
    for part, summary, fix in _EXPLAINED:
        if part in said or part in text:
            return EnvironmentProblem(summary.format(said=said), fix)
    return EnvironmentProblem(f"the Pulumi engine refused: {said}", "look at `pulumi whoami -v` and `pulumi stack`")


_EXPLAINED = (
    (
        "incorrect passphrase",
        "the passphrase is not the one with which the stack was made",
        "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to that one",
    ),
    (
        "passphrase must be set",
        "the state is kept with a passphrase, and none is set",
        "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE (an empty one is allowed)",
    ),
    (
        "PULUMI_ACCESS_TOKEN must be set",
        "the Pulumi backend wants a login, and there is none",
        "set PULUMI_ACCESS_TOKEN, or choose another backend, such as PULUMI_BACKEND_URL=file://~",
    ),
    (
        "get stack secrets manager: secrets",
        "the service that holds the key to the stack's secrets does not open them: {said}",
        "see that this account may use the key that `secretsprovider` in the stack's Pulumi.NAME.yaml names",
    ),
    (
        "unable to open state directory",
        "the Pulumi backend cannot be used: {said}",
        "make that folder, or set PULUMI_BACKEND_URL to another place",
    ),
    (
        "connection refused",
        "the Pulumi backend does not answer: {said}",
        "look at the network, or set PULUMI_BACKEND_URL to another backend",
    ),
    (
        "no such host",
        "the Pulumi backend does not answer: {said}",
        "look at the network, or set PULUMI_BACKEND_URL to another backend",
    ),
)
"""Texts of the engine, what they mean, and what a person can do."""


def _last_line(text: str) -> str:
    lines = [line.strip().removeprefix("stderr: ") for line in plain_text(text).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["no message"])[-1].removeprefix("error: ")
