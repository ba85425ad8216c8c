"""Reading EC2's rules back: written from Amazon's documents, without any code of the translation."""

from provision_aws.readers.graph import read_rules
from provision_aws.readers.live import read_live_rules
from provision_aws.readers.settings import read_settings

__all__ = ["read_live_rules", "read_rules", "read_settings"]
