"""A machine's memory, and how it is confined, hidden and booted."""

from collections.abc import Callable, Iterator

from provision.models import (
    ConfinementPolicy,
    HideHypervisorPolicy,
    MemoryEncryptionPolicy,
    MemoryIsolationPolicy,
    SecureBootPolicy,
)
from provision.spi import Evidence, Shown
from provision.spi.evidence import accepted
from provision_libvirt.effective import Effective
from provision_libvirt.evidence.look import Look
from provision_libvirt.resources.xml_protection import MANDATORY


def memory(look: Look, policy: MemoryIsolationPolicy) -> Iterator[Shown]:
    """Whether its memory is what the policy says."""
    whole = look.live["memory_mib"]
    if not policy.shared_pages:
        yield from unshared(look)
    if policy.huge_pages:
        size = look.live["huge_page_kib"]
        yield accepted(size is not None, f"huge pages of {size} KiB" if size else "no huge pages")
        yield look.applied(
            lambda now: (now.huge_kib >= whole * 1024, f"{now.huge_kib // 1024} of {whole} MiB in huge pages")
        )
    if policy.locked:
        locked = look.live["locked"] is True
        yield accepted(locked, "memory locked" if locked else "memory not locked")
        yield look.applied(
            lambda now: (now.locked_kib >= whole * 1024, f"{now.locked_kib // 1024} of {whole} MiB cannot be swapped")
        )


def unshared(look: Look) -> Iterator[Shown]:
    """Whether no page of it is merged with equal ones."""
    unshared = look.live["share_pages"] is False
    yield accepted(unshared, "page sharing off" if unshared else "page sharing not switched off")
    yield look.applied(
        lambda now: (
            not now.mergeable,
            "some of its memory may be merged" if now.mergeable else "no page of its process may be merged",
        )
    )


def shared(look: Look) -> Iterator[Shown]:
    """Whether its pages may be merged with equal ones; whether the host does so at all is the host's own setting."""
    may = look.live["share_pages"] is not False
    yield accepted(may, "page sharing on" if may else "page sharing switched off")
    merging = None if look.view is None else look.view.merges_pages()
    host = {None: "", True: ", and the host's kernel merges now", False: ", but the host's kernel merges none now"}
    yield look.applied(
        lambda now: (
            now.mergeable,
            f"its memory may be merged{host[merging]}" if now.mergeable else "no page of its process may be merged",
        )
    )


def confinement(look: Look, policy: ConfinementPolicy) -> Iterator[Shown]:
    """Whether its emulator is confined."""
    if policy.mandatory_access_control:
        model = look.live["confinement"]
        yield accepted(model in MANDATORY, f"confined by {model}" if model else "no mandatory access control")
        yield look.applied(
            lambda now: (
                now.label is not None and not now.label.startswith("unconfined"),
                f"its process runs under the label {now.label}" if now.label else "its process has no label",
            )
        )
    else:
        yield Shown(Evidence.ACCEPTED, None, "libvirt's description of a machine says nothing of system-call filters")
    if policy.seccomp:
        yield look.applied(_sandboxed)


def _sandboxed(now: Effective) -> tuple[bool, str]:
    if not now.seccomp:
        return False, "not every thread of its process has a system-call filter"
    privileges = "no privileges" if now.capabilities == 0 else f"privileges {now.capabilities:#x}"
    gains = "none to be gained" if now.no_new_privileges else "more may be gained"
    spaces = ", ".join(now.own_namespaces) or "none"
    return True, f"system-call filter on every thread; {privileges}, {gains}; namespaces of its own: {spaces}"


def secure_boot(look: Look, policy: SecureBootPolicy) -> Iterator[Shown]:
    """Whether its firmware starts only what is signed."""
    firmware = look.live["secure_boot"] is True
    yield accepted(firmware, "firmware with secure boot" if firmware else "firmware without secure boot")
    yield look.applied(
        lambda now: (
            now.secure_firmware,
            "its emulator keeps firmware and keys out of the guest's reach"
            if now.secure_firmware
            else "its emulator does not keep firmware and keys out of the guest's reach",
        )
    )
    yield look.applied(
        lambda now: (
            now.secure_variables,
            "its firmware's variables hold keys, and secure boot is on"
            if now.secure_variables
            else "its firmware's variables do not say that secure boot is on",
        )
    )
    if policy.vtpm:
        tpm = look.live["tpm"] is True
        yield accepted(tpm, "a TPM of its own" if tpm else "no TPM")
        yield _told(look, "-tpmdev", lambda value: value.startswith("emulator"), "a TPM emulator")


def memory_encryption(look: Look, policy: MemoryEncryptionPolicy) -> Iterator[Shown]:
    """Whether its memory is encrypted; that it is in truth only the guest's own attestation shows."""
    found, wanted = look.live["memory_encryption"], look.recorded.get("memory_encryption")
    right = found is not None and policy.technology in ("any", found) and found == wanted
    yield accepted(right, f"memory encrypted by {found.upper()}" if found else "memory not encrypted")
    yield _told(look, "-machine", lambda value: "confidential-guest-support" in value, "encrypted memory")


def hidden(look: Look, policy: HideHypervisorPolicy) -> Iterator[Shown]:
    """Whether its CPU says nothing of the hypervisor, and cannot nest."""
    hidden = look.live["hide_hypervisor"] is True
    yield accepted(hidden, "hypervisor hidden from the CPU" if hidden else "hypervisor not hidden")
    yield _told(look, "-cpu", lambda value: "hypervisor=off" in value.split(","), "a CPU without the hypervisor's mark")
    if not policy.nested:
        plain = look.live["nested"] is False
        yield accepted(plain, "nesting off" if plain else "nesting not switched off")
        yield _told(
            look, "-cpu", lambda value: {"vmx=off", "svm=off"} <= set(value.split(",")), "a CPU that cannot nest"
        )


def _told(look: Look, option: str, test: Callable[[str], bool], what: str) -> Shown:
    """What the emulator's own command line says."""
    if not look.command:
        return Shown(Evidence.EFFECTIVE, None, look.why_blind)
    values = [value for name, value in zip(look.command, look.command[1:], strict=False) if name == option]
    holds = any(map(test, values))
    return Shown(Evidence.EFFECTIVE, holds, f"its emulator {'runs' if holds else 'does not run'} with {what}")
