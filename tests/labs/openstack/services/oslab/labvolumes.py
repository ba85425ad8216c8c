"""The lab's back end for volumes: Cinder's own logging one, with what that leaves to LVM's tools, and faults."""

import json
import os

from cinder import exception
from cinder.image import image_utils
from cinder.tests.fake_driver import FakeLoggingVolumeDriver
from oslo_utils.imageutils import QemuImgInfo

from oslab import faults


def _raw(path, *args, **options):
    """What `qemu-img info` says of a raw image: Cinder asks it as root, by a sudo that need not be here."""
    told = {"filename": path, "format": "raw", "virtual-size": os.path.getsize(path)}
    return QemuImgInfo(json.dumps(told), format="json")


image_utils.qemu_img_info = _raw


class LabVolumeDriver(FakeLoggingVolumeDriver):
    """Keeps no content; sizes are in Cinder's database."""

    def extend_volume(self, volume, new_size):
        rule = faults.match("extend", name=volume.display_name or "")
        if rule:
            raise exception.VolumeDriverException(rule["error"])

    def clone_image(self, context, volume, image_location, image_meta, image_service):
        return {}, True  # it is there; else Cinder has qemu-img copy it

    def copy_image_to_encrypted_volume(self, context, volume, image_service, image_id, disable_sparse=False):
        pass  # there is no device to format with LUKS

    def copy_volume_to_image(self, context, volume, image_service, image_meta):
        image_service.update(context, image_meta["id"], {}, b"\0" * 65536)
