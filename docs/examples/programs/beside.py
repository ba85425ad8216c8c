"""A stack file among the other resources of a program."""

import pulumi

import provision


def program() -> None:
    """The `pulumi.Stash` resources stand for any other: a database before, a DNS record after."""
    before = pulumi.Stash("before", input="hello from elsewhere")

    web = provision.deploy(
        "stack.yaml",
        name="web",
        parameters={"servers": 2, "greeting": before.output},
    )

    pulumi.Stash("after", input=web.outputs["url"])
    pulumi.export("url", web.outputs["url"])
    pulumi.export("address", web.machines["web-0"]["address"])


if __name__ == "__main__":
    program()
