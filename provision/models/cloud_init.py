"""First-boot set-up in cloud-init's own words, checked here instead of in a machine that then does not come up."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator

from provision.models.base import Model

_FIELD_SEPARATORS = re.compile(r"[:\n]")
LOGIN_NAME = r"^[a-z_][a-z0-9_.-]{0,31}$"
OWNER = r"^[^:\s]+(:[^:\s]+)?$"
HOST_NAME = r"^[A-Za-z0-9]$|^[A-Za-z0-9][A-Za-z0-9.-]*[A-Za-z0-9]$"
_PUBLIC_KEY = re.compile(
    r"(^|\s)(ssh-(rsa|ed25519|dss)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
    r"(-cert-v01@openssh\.com)?\s+AAAA[0-9A-Za-z+/]+={0,3}(\s|$)"
)


def _by_reference(value: object) -> object:
    if value is None or isinstance(value, SecretStr):
        return value
    raise ValueError(
        "a password must not stand in the file; declare a parameter with 'secret: true' and write ${param.NAME}"
    )


def _one_line(value: str) -> str:
    """What becomes a field of /etc/passwd or /etc/group."""
    if _FIELD_SEPARATORS.search(value):
        raise ValueError("a colon or a new line cannot stand here; it ends a field of /etc/passwd")
    return value


def _public_key(value: str) -> str:
    """A public SSH key (RFC 4253, section 6.6) in OpenSSH's spelling, options in front of it allowed."""
    if "PRIVATE KEY" in value:
        raise ValueError("this is a private key; write the public one, from the file that ends with .pub")
    if "\n" in value.strip() or not _PUBLIC_KEY.search(value):
        raise ValueError("this is no public SSH key; write the line of a .pub file, as in 'ssh-ed25519 AAAA… name'")
    return value


PublicKey = Annotated[str, AfterValidator(_public_key)]
Password = Annotated[SecretStr | None, BeforeValidator(_by_reference)]
LoginName = Annotated[str, Field(pattern=LOGIN_NAME)]


class CloudUser(Model):
    """A user account."""

    name: Annotated[LoginName, Field(description="Login name.")]
    gecos: Annotated[str | None, Field(description="Full name.")] = None
    groups: Annotated[list[LoginName], Field(description="Groups besides its own; they are made when needed.")] = []
    home: Annotated[str | None, Field(description="Home directory.", pattern=r"^/")] = None
    shell: Annotated[str | None, Field(description="Login shell, such as /bin/bash.", pattern=r"^/")] = None
    uid: Annotated[int | None, Field(description="Number of the user.", ge=1, le=4_294_967_294)] = None
    system: Annotated[bool, Field(description="A user of the system, without a home directory.")] = False
    sudo: Annotated[str | list[str] | None, Field(description="Rules of sudo, such as 'ALL=(ALL) NOPASSWD:ALL'.")] = (
        None
    )
    ssh_authorized_keys: Annotated[list[PublicKey], Field(description="Public SSH keys that may log in.")] = []
    hashed_passwd: Annotated[Password, Field(description="Hash of the password (crypt); only by reference.")] = None
    plain_text_passwd: Annotated[Password, Field(description="The password itself; only by reference.")] = None
    lock_passwd: Annotated[
        bool | None, Field(description="Whether the password cannot be used to log in; default: when there is none.")
    ] = None

    @field_validator("gecos", "home", "shell")
    @classmethod
    def _fields(cls, value: str | None) -> str | None:
        return value if value is None else _one_line(value)


class WriteFile(Model):
    """A file that is written at first boot."""

    path: Annotated[str, Field(description="Where, beginning with /.", pattern=r"^/")]
    content: Annotated[
        str | SecretStr, Field(description="The content; with 'template: true' it may hold ${…}, secrets too.")
    ] = ""
    owner: Annotated[str | None, Field(description="USER:GROUP; default root:root.", pattern=OWNER)] = None
    permissions: Annotated[
        str | None, Field(description="Octal, in quotes; default '0644'.", pattern=r"^[0-7]{3,4}$")
    ] = None
    encoding: Annotated[
        Literal["text/plain", "b64", "gzip", "gz+b64"] | None, Field(description="How `content` is written.")
    ] = None
    append: Annotated[bool, Field(description="Add to the file instead of replacing it.")] = False
    defer: Annotated[
        bool, Field(description="Write it after users and packages are there, which `owner` may need.")
    ] = False


class CloudInit(Model):
    """First-boot set-up in cloud-init's own words; rendered to user data."""

    hostname: Annotated[
        str | None,
        Field(description="Host name; default: the machine's.", pattern=HOST_NAME, max_length=253),
    ] = None
    users: Annotated[list[CloudUser], Field(description="Users to make, besides the image's own.")] = []
    package_update: Annotated[bool, Field(description="Fetch the lists of packages anew.")] = False
    package_upgrade: Annotated[bool, Field(description="Upgrade all packages.")] = False
    packages: Annotated[list[str], Field(description="Packages to install.")] = []
    write_files: Annotated[list[WriteFile], Field(description="Files to write.")] = []
    runcmd: Annotated[
        list[str | SecretStr | list[str | SecretStr]],
        Field(description="Commands to run once, in the end: shell, or a list of words."),
    ] = []
    growpart: Annotated[bool, Field(description="Grow the root partition and its file system to the disk.")] = True
    template: Annotated[bool, Field(description="Expand ${…} in the content of files and in commands.")] = False
