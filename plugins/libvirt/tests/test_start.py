"""What processes import of the plugin before they do anything: every run waits for it."""

import subprocess
import sys


def loaded(*modules):
    """The modules that a process has after it imported these."""
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def below(found, *packages):
    return [name for name in found if any(name == it or name.startswith(f"{it}.") for it in packages)]


def test_a_plugin_process_loads_what_makes_objects_and_neither_labs_nor_full_images_nor_translation():
    found = loaded("provision.host.plugin.process", "provision_libvirt.provider")

    assert "provision_libvirt.resources.domain" in found
    assert (
        below(found, "provision_libvirt.translate", "provision_libvirt.cloud", "provision_libvirt.lab.lifecycle") == []
    )
    assert below(found, "provision.models", "provision.loader", "provision.translate", "yaml", "http") == []


def test_what_negotiation_asks_is_answered_without_loading_translation():
    found = loaded(
        "provision_libvirt.provider",
        "provision_libvirt.support",
        "provision_libvirt.capabilities",
        "provision_libvirt.translate.objections",
    )

    assert below(found, "provision_libvirt.translate.stack", "provision_libvirt.lab.lifecycle") == []
    assert below(found, "provision_libvirt.cloud.fetch", "provision_libvirt.daytwo", "provision_libvirt.evidence") == []
