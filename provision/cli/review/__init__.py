"""The reviewer's page: what a preview found, as one comment of a pull request."""

from provision.cli.review.isolation import Isolation, isolation
from provision.cli.review.page import LIMIT, Review, page

__all__ = ["LIMIT", "Isolation", "Review", "isolation", "page"]
