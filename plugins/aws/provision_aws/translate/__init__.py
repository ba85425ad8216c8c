"""From a stack to native resources of EC2."""

from provision_aws.translate.stack import translate

__all__ = ["translate"]
