"""Who reaches whom, with which services, and by which policy: exact, for classes of ends that are treated alike."""

from provision.verify.reach.answers import Answer, Reach
from provision.verify.reach.ends import Class, all_ends, classes, entry_of
from provision.verify.reach.services import ServiceSet

__all__ = ["Answer", "Class", "Reach", "ServiceSet", "all_ends", "classes", "entry_of"]
