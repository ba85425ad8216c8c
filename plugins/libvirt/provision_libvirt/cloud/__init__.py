"""Full images with cloud-init and a guest agent: one that the project builds, those that are downloaded, local files.

`build` makes the built-in ones and `find` finds them.
"""

from provision_libvirt.cloud.disk import CMDLINE
from provision_libvirt.cloud.image import IMAGES, CloudImage, build, build_command, default_cache, find, is_outdated

__all__ = [
    "CMDLINE",
    "IMAGES",
    "CloudImage",
    "build",
    "build_command",
    "default_cache",
    "find",
    "is_outdated",
]
