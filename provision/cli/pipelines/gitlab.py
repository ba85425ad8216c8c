"""GitLab, by its REST API."""

import os
from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

from provision.cli.pipelines.forge import LABEL, Forge, marker_of, needed, shortened


class GitLab(Forge):
    """The project of a run of GitLab CI."""

    name: ClassVar[str] = "GitLab"
    longest: ClassVar[int] = 1_000_000

    def __init__(self) -> None:
        """Take the project and the API's address from the environment of the run."""
        self._base = os.environ.get("CI_API_V4_URL", "https://gitlab.com/api/v4")
        self._api = f"{self._base}/projects/{needed('CI_PROJECT_ID', 'which project this is')}"

    @cached_property
    def _own(self) -> int:
        """Who the token speaks for."""
        return int(self.call("GET", f"{self._base}/user")["id"])

    def comment(self, text: str) -> str:
        """Over the token's own note of the merge request that begins alike, else a new one.

        Whoever else wrote such a note could change afterwards what a pipeline says there.
        """
        marker, body = marker_of(text), {"body": shortened(text, self.longest)}
        request = needed("CI_MERGE_REQUEST_IID", "which merge request this run is for")
        notes = f"{self._api}/merge_requests/{request}/notes"
        page = f"{needed('CI_PROJECT_URL', 'where the project is seen')}/-/merge_requests/{request}"
        for found in self.pages(notes):
            if str(found.get("body", "")).startswith(marker) and (found.get("author") or {}).get("id") == self._own:
                written = self.call("PUT", f"{notes}/{found['id']}", body)
                break
        else:
            written = self.call("POST", notes, body)
        return f"{page}#note_{written['id']}"

    def issue(self, title: str, text: str) -> str:
        """Over the open issue that begins alike, else a new one."""
        body = {"title": title, "description": shortened(text, self.longest), "labels": LABEL}
        number = self._open(marker_of(text))
        method, address = ("PUT", f"/issues/{number}") if number else ("POST", "/issues")
        return str(self.call(method, f"{self._api}{address}", body)["web_url"])

    def close(self, marker: str) -> str:
        """Close it."""
        number = self._open(marker)
        body = {"state_event": "close"}
        return str(self.call("PUT", f"{self._api}/issues/{number}", body)["web_url"]) if number else ""

    def _open(self, marker: str) -> int:
        """The number of the open issue that begins with `marker`, 0 when there is none."""
        issues = self.pages(f"{self._api}/issues?state=opened&labels={LABEL}")
        return next((int(one["iid"]) for one in issues if str(one.get("description") or "").startswith(marker)), 0)

    def authorization(self) -> Mapping[str, str]:
        """A project access token: that of the job may not write notes."""
        return {"PRIVATE-TOKEN": needed("GITLAB_TOKEN", "a token with the scope `api` is needed to write")}
