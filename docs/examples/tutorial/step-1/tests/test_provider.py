"""What the first step must do: be found, and promise nothing."""

from provision_qemu.provider import QemuProvider

from provision import spi


def test_the_plugin_keeps_to_the_interface():
    assert spi.registry.check("qemu", QemuProvider).name == "qemu"


def test_nothing_is_promised():
    use = spi.FeatureUse("machines.cpus", ("machines", "web", "cpus"), 2)
    answer = QemuProvider().supports(use, spi.Capabilities("qemu"))
    assert not answer.enforced
    assert answer.reason
