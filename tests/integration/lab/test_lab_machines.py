"""A running machine is changed by its file: what comes, what goes, what grows, what is refused."""

import re

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.engine]

BOX = """\
version: 1
platform: libvirt
networks:
  lan: {cidr: 10.70.1.0/24}
  back: {cidr: 10.70.2.0/24}
machines:
  box:
    image: micro
    memory: 96MiB
    delete_protection: true
    nics: [{network: lan}]
    disks: {data: {size: 8MiB, keep_on_delete: false}}
"""


def test_a_running_machine_is_changed_by_its_file_and_protected_by_it(deploy):
    box = deploy("plug", BOX)
    box.fine("provision", "up")
    domain = box.domain("box")
    number = domain.ID()

    # A disk, a card and a larger disk: the preview says that nothing restarts, and nothing does.
    box.edit("nics: [{network: lan}]", "nics: [{network: lan}, {network: back}]\n    autostart: true")
    box.edit("{data: {size: 8MiB,", "{more: {size: 4MiB, keep_on_delete: false}, data: {size: 16MiB,")
    said = box.fine("provision", "preview").text
    assert "restart" not in said
    box.fine("provision", "up")
    assert domain.ID() == number
    assert domain.autostart()
    assert [disk.rsplit(".", 1)[-1] for disk in re.findall(r"source file='([^']+)'", domain.XMLDesc())] == [
        "data", "iso", "more",
    ]  # fmt: skip
    assert domain.blockInfo("vda")[0] == 16 << 20
    assert domain.XMLDesc().count("<interface ") == 2
    box.assert_exact()

    # Protected: nothing deletes it, by whatever command, and nothing else is deleted before that is known.
    before = box.uuids, box.recorded(), box.file.read_text()
    refused = box.refused("provision", "down").text
    assert "protected ('delete_protection'), so not removed: 'box'; nothing was changed" in refused
    assert "write 'delete_protection: false'" in refused
    assert "protect" in box.refused("pulumi", "destroy").text
    box.write(before[2].partition("machines:")[0])
    assert re.search(r"(machine|disk .* of machine) 'box' is protected", box.refused("provision", "up").text)
    assert (box.uuids, domain.ID()) == (before[0], number)

    # Lifted, the disk and the first card go while it runs.
    box.write(before[2].replace("delete_protection: true", "delete_protection: false"))
    box.fine("provision", "up")
    box.edit("more: {size: 4MiB, keep_on_delete: false}, ", "")
    box.edit("{network: lan}, ", "")
    box.fine("provision", "up", "--allow-destroy", "box/more")
    assert domain.ID() == number
    assert (domain.XMLDesc().count("<interface "), ".more" in domain.XMLDesc()) == (1, False)
    box.assert_exact()
    box.fine("provision", "down")
