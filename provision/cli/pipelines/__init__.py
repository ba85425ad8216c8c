"""What a pipeline says to people: one comment on a change request, one issue for drift, each kept up to date."""

from provision.cli.pipelines.forge import Forge, marker_of, shortened
from provision.cli.pipelines.github import GitHub
from provision.cli.pipelines.gitlab import GitLab

__all__ = ["Forge", "GitHub", "GitLab", "marker_of", "shortened"]
