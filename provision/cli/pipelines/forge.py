"""What any forge does for a pipeline, and how its API is called."""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from provision.errors import EnvironmentProblem, PlatformError, RetriableError, UserError

LABEL = "provision-drift"
"""The label by which issues for drift are found again."""
_PAGE = 100
_MOST_PAGES = 100
_SECONDS = 30
_PASSING = (429, 500, 502, 503, 504)
PAUSES = (1.0, 5.0)
"""Seconds between tries."""


class Forge(ABC):
    """One repository on a forge.

    Attributes:
        name: what people call the forge.
        longest: most characters of a comment or issue.
    """

    name: ClassVar[str]
    longest: ClassVar[int]

    @abstractmethod
    def comment(self, text: str) -> str:
        """Write `text` as a comment of the change request of this run, or over the one that begins with the same line.

        Gives the address of the comment.

        Raises:
            EnvironmentProblem: this is no run for a change request, or its token is missing.
            PlatformError: the forge refused.
        """

    @abstractmethod
    def issue(self, title: str, text: str) -> str:
        """Write `text` as an open issue, or over the one that begins with the same line; gives its address."""

    @abstractmethod
    def close(self, marker: str) -> str:
        """Close the open issue that begins with `marker`; gives its address, empty when there is none."""

    @abstractmethod
    def authorization(self) -> Mapping[str, str]:
        """Headers that hold the token."""

    def call(self, method: str, address: str, body: Mapping[str, Any] | None = None) -> Any:
        """One call of the forge's API; gives what it answers.

        What fails for a moment is tried again, but nothing that makes something: it may have been made.

        Raises:
            PlatformError: it refused, or cannot be reached.
        """
        for pause in PAUSES if method != "POST" else ():
            try:
                return self._call(method, address, body)
            except RetriableError:
                time.sleep(pause)
        return self._call(method, address, body)

    def _call(self, method: str, address: str, body: Mapping[str, Any] | None) -> Any:
        headers = {"Accept": "application/json", "User-Agent": "provision", **self.authorization()}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(address, data, headers, method=method)
        where = f"{method} {urllib.parse.urlsplit(address).path}"
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            said = error.read(2000).decode(errors="replace")
            summary = f"{self.name} answered {error.code} to {where}: {said}"
            if error.code in _PASSING:
                raise RetriableError(summary, "run the step again") from None
            fix = "give the token the right to write comments and issues" if error.code in (401, 403, 404) else ""
            raise PlatformError(summary, fix) from None
        except (OSError, ValueError) as error:
            raise RetriableError(f"{self.name} could not be asked ({where}): {error}", "run the step again") from None

    def pages(self, address: str) -> Iterator[Mapping[str, Any]]:
        """Everything that a list has, page by page."""
        sign = "&" if "?" in address else "?"
        for page in range(1, _MOST_PAGES + 1):
            found = self.call("GET", f"{address}{sign}per_page={_PAGE}&page={page}")
            yield from found
            if len(found) < _PAGE:
                return


def marker_of(text: str) -> str:
    """The first line, which nobody sees and which tells the comments and issues of one stack from all others.

    Raises:
        UserError: it is not there.
    """
    line = text.partition("\n")[0].strip()
    if not (line.startswith("<!-- provision ") and line.endswith("-->")):
        raise UserError(
            "the text does not begin with the mark by which it is found again",
            "give what `provision preview --format markdown` or `provision drift --format markdown` printed",
        )
    return line


def shortened(text: str, longest: int) -> str:
    """`text`, cut at the end of a line where a forge would refuse its length."""
    if len(text) <= longest:
        return text
    more = "\n\n… cut here: the whole text is in the log of the pipeline.\n"
    kept = text[: longest - len(more) - len("\n</details>") * 4]
    kept = kept[: kept.rfind("\n") + 1]
    return kept + "\n</details>" * (kept.count("<details>") - kept.count("</details>")) + more


def needed(name: str, what: str) -> str:
    """The value of an environment variable.

    Raises:
        EnvironmentProblem: it is not set.
    """
    value = os.environ.get(name, "")
    if not value:
        raise EnvironmentProblem(f"{name} is not set: {what}", f"run this step in a pipeline that sets {name}")
    return value
