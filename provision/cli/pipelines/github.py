"""GitHub, by its REST API."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from provision.cli.pipelines.forge import LABEL, Forge, marker_of, needed, shortened
from provision.errors import EnvironmentProblem

_TRUSTED = ("OWNER", "MEMBER", "COLLABORATOR")


class GitHub(Forge):
    """The repository of a run of GitHub Actions."""

    name: ClassVar[str] = "GitHub"
    longest: ClassVar[int] = 65_536

    def __init__(self) -> None:
        """Take the repository and the API's address from the environment of the run."""
        base = os.environ.get("GITHUB_API_URL", "https://api.github.com")
        self._api = f"{base}/repos/{needed('GITHUB_REPOSITORY', 'which repository this is')}"

    def comment(self, text: str) -> str:
        """Over the comment of the pull request that begins alike, and is no stranger's; else a new one."""
        marker, body = marker_of(text), {"body": shortened(text, self.longest)}
        comments = f"{self._api}/issues/{_pull_request()}/comments"
        for found in self.pages(comments):
            if str(found.get("body", "")).startswith(marker) and _is_trusted(found):
                return str(self.call("PATCH", f"{self._api}/issues/comments/{found['id']}", body)["html_url"])
        return str(self.call("POST", comments, body)["html_url"])

    def issue(self, title: str, text: str) -> str:
        """Over the open issue that begins alike, else a new one."""
        body = {"title": title, "body": shortened(text, self.longest), "labels": [LABEL]}
        number = self._open(marker_of(text))
        method, address = ("PATCH", f"/issues/{number}") if number else ("POST", "/issues")
        return str(self.call(method, f"{self._api}{address}", body)["html_url"])

    def close(self, marker: str) -> str:
        """Close it as done."""
        number = self._open(marker)
        body = {"state": "closed", "state_reason": "completed"}
        return str(self.call("PATCH", f"{self._api}/issues/{number}", body)["html_url"]) if number else ""

    def _open(self, marker: str) -> int:
        """The number of the open issue that begins with `marker`, 0 when there is none."""
        issues = self.pages(f"{self._api}/issues?state=open&labels={LABEL}")
        return next((int(one["number"]) for one in issues if str(one.get("body") or "").startswith(marker)), 0)

    def authorization(self) -> Mapping[str, str]:
        """The token of the run."""
        token = needed("GITHUB_TOKEN", "nothing can be written without a token")
        return {"Authorization": f"Bearer {token}", "X-GitHub-Api-Version": "2022-11-28"}


def _is_trusted(comment: Mapping[str, Any]) -> bool:
    """Whether it is a pipeline's, or of somebody who may change the repository.

    Whoever else wrote a comment that begins alike could change afterwards what a pipeline says there.
    """
    return (comment.get("user") or {}).get("type") == "Bot" or comment.get("author_association") in _TRUSTED


def _pull_request() -> int:
    """The number of the pull request that this run is for."""
    event = Path(needed("GITHUB_EVENT_PATH", "which pull request this run is for"))
    try:
        return int(json.loads(event.read_text())["pull_request"]["number"])
    except (OSError, ValueError, KeyError, TypeError):
        raise EnvironmentProblem(
            "this run is for no pull request", "let the step run for the event `pull_request` only"
        ) from None
