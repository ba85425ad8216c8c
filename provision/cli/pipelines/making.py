"""Pipelines from the templates."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provision.cli.filling import filled
from provision.errors import EnvironmentProblem, UserError
from provision.spi import CanProbe, CanReadLiveRules, CanReadRules, PipelineStep, Provider, SignsInPipelines

_BEFORE = "  before_script:\n"
_APPLY = """
apply-{stack}:
  stage: "{stack}"
  rules:
    - if: $CI_COMMIT_BRANCH == "{branch}" && $CI_PIPELINE_SOURCE == "push"
  resource_group: provision-{project}-{stack}
  environment: "{stack}"
  variables: {{STACK: "{stack}"}}
  script:
    - plan=$(mktemp -d)/plan
    - provision preview "$DIRECTORY" --stack "$STACK" --save-plan "$plan" --format markdown
    - provision up "$DIRECTORY" --stack "$STACK" --yes --plan "$plan" --lock-timeout 600
    - provision {verify} "$DIRECTORY" --stack "$STACK"
  after_script:
    - test "$CI_JOB_STATUS" = success || echo "To go back, revert this commit and merge that."
"""


def refuse_names(folder: str, stacks: Sequence[str], branch: str) -> None:
    """Names that cannot stand in a pipeline.

    Raises:
        UserError: one has signs that a shell or a forge would take for something else.
    """
    for what, names, others in (
        ("stack", stacks, "-_."),
        ("branch", [branch], "-_./"),
        ("folder", [folder], "-_./, ="),
    ):
        for name in names:
            if not re.fullmatch(rf"[\w{re.escape(others)}]+", name):
                raise UserError(
                    f"the {what} '{name}' cannot be named in a pipeline",
                    f"call it otherwise: letters, digits and '{others}' are taken literally by every shell and forge",
                )


def pipeline(
    forge: str, *, project: str, folder: str, stacks: Sequence[str], branch: str, provider: Provider[Any, Any]
) -> list[tuple[Path, str]]:
    """The files of a pipeline, by path from the root of the repository.

    Args:
        forge: `github`, `gitlab` or `generic`.
        project: Pulumi project.
        folder: of the stack file, from the root of the repository.
        stacks: Pulumi stacks, in the order in which a change goes through them.
        branch: what is merged there is applied.
        provider: the plugin.
    """
    platform = provider.name
    readable = isinstance(provider, CanReadRules)
    shown = isinstance(provider, CanProbe | CanReadLiveRules)
    # Of a platform that shows nothing of its isolation, what it has is compared with what was made, at least.
    verify = "verify" if shown else "verify --static" if readable else "drift --detailed-exitcode"
    step = provider.pipeline_step(forge) if isinstance(provider, SignsInPipelines) else PipelineStep()
    words = {
        "project": project,
        "directory": folder,
        "paths": "**" if folder == "." else f"{folder}/**",
        "stacks": ", ".join(f'"{stack}"' for stack in stacks),
        "branch": branch,
        "packages": f"provision provision-{platform}",
        "check": "verify --static" if readable else "validate",
        "verify": verify,
        "credentials": step.job,
        "applies": "".join(
            _APPLY.format(stack=stack, project=project, branch=branch, verify=verify) for stack in stacks
        ),
    }
    return [(path, text.replace(_BEFORE, _BEFORE + step.before, 1)) for path, text in filled(f"ci/{forge}", words)]


def write(root: Path, files: Sequence[tuple[Path, str]]) -> None:
    """Write `files` below `root`, all or none.

    Raises:
        UserError: one of them is there already.
        EnvironmentProblem: they cannot be written.
    """
    there = [path for path, _ in files if (root / path).exists()]
    if there:
        raise UserError(f"{there[0]} is there already; nothing was written", "move it away, or merge by hand")
    try:
        for path, text in files:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
            if text.startswith("#!"):
                (root / path).chmod(0o755)
    except OSError as error:
        raise EnvironmentProblem(
            f"{error.filename} cannot be written: {error.strerror}", "choose a folder that can be written to"
        ) from error
