"""How pipelines come by credentials: a role that trusts the repository; no key is kept anywhere."""

from collections.abc import Mapping

from provision.spi import PipelineStep

_STEPS: Mapping[str, PipelineStep] = {
    "github": PipelineStep(
        job="""\
      - uses: aws-actions/configure-aws-credentials@v4  # a role that trusts this repository; no key is kept anywhere
        with: {role-to-assume: "${{ vars.AWS_ROLE }}", aws-region: "${{ vars.AWS_REGION }}"}
"""
    ),
    "gitlab": PipelineStep(
        job="""\
  id_tokens: {AWS_TOKEN: {aud: https://gitlab.com}}  # AWS_ROLE_ARN is a role that trusts this project; no key is kept
""",
        before="""\
    - export AWS_WEB_IDENTITY_TOKEN_FILE=$(mktemp) && echo "$AWS_TOKEN" > "$AWS_WEB_IDENTITY_TOKEN_FILE"
""",
    ),
}


def pipeline_step(forge: str) -> PipelineStep:
    """What a pipeline of a forge does first; nothing where nobody hands out tokens."""
    return _STEPS.get(forge, PipelineStep())
