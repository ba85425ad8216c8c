"""False senders: frames from inside machines that claim to be another, which policies are to stop."""

from provision.verify.forging.plan import Claim, Forgeries, Forgery, forgeries
from provision.verify.forging.trying import Forged, send

__all__ = ["Claim", "Forged", "Forgeries", "Forgery", "forgeries", "send"]
