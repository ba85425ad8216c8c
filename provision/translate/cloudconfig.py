"""First-boot data as cloud-init reads it: what a machine's `cloud_init`, `ssh_keys` and `user_data` come to.

Pure, and of no platform: every plugin gets the result as `TranslationRequest.user_data`. The words are those of
cloud-init's reference ("Cloud config", "User data formats"); multipart messages are RFC 2046.
"""

import hashlib
from collections.abc import Mapping
from email import message_from_string
from email.encoders import encode_base64
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from typing import Any

import yaml
from pydantic import SecretStr

from provision.models import CloudInit, CloudUser, WriteFile

HEADER = "#cloud-config\n"
_CLOUD_CONFIG = "cloud-config"
_BEGINNINGS: tuple[tuple[str, str], ...] = (
    ("#cloud-config-archive", "cloud-config-archive"),
    ("#cloud-config-jsonp", "cloud-config-jsonp"),
    ("#cloud-config", _CLOUD_CONFIG),
    ("#cloud-boothook", "cloud-boothook"),
    ("#include-once", "x-include-once-url"),
    ("#include", "x-include-url"),
    ("#part-handler", "part-handler"),
    ("## template: jinja", "jinja2"),
    ("#!", "x-shellscript"),
)
"""How each kind of user data begins, the longest first, and the type under `text/` of a part with it."""
_MIME = ("content-type:", "mime-version:")
# Where a part says what another has said already, lists are joined, and the user data as it was written has the word.
_JOINED = "list(append)+dict(no_replace,recurse_array)+str()"


class NotCombinable(Exception):
    """User data of a kind that nothing can be added to."""


def first_boot(
    name: str,
    cloud_init: CloudInit | None,
    ssh_keys: list[str],
    user_data: str | SecretStr | None,
    domain: str | None = None,
) -> str | SecretStr | None:
    """The user data of one machine; None when there is nothing to say. Secret when a part of it is.

    Args:
        name: of the machine.
        cloud_init: what its file says in cloud-init's words, texts filled in.
        ssh_keys: for the image's default user.
        user_data: passed on as it stands, and the first to speak when there is more.
        domain: of its first network.

    Raises:
        NotCombinable: `user_data` is of no kind that cloud-init could tell from the rest.
    """
    made = cloud_config(name, cloud_init, ssh_keys, domain)
    if made is None:
        return user_data
    if user_data is None:
        return made
    text, secret = _clear(user_data)
    added, also = _clear(made)
    joined = _multipart(text, added)
    return SecretStr(joined) if secret or also else joined


def cloud_config(
    name: str, cloud_init: CloudInit | None, ssh_keys: list[str], domain: str | None = None
) -> str | SecretStr | None:
    """A `#cloud-config` document, None when there is nothing to say; secret when a secret is in it."""
    document: dict[str, Any] = {}
    if ssh_keys:
        document["ssh_authorized_keys"] = list(ssh_keys)
    if cloud_init is not None:
        document |= _configured(name, cloud_init, domain)
    if not document:
        return None
    seen: list[bool] = []
    plain = _revealed(document, seen)
    text = HEADER + yaml.dump(
        plain, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=1 << 20
    )
    return SecretStr(text) if seen else text


def _configured(name: str, said: CloudInit, domain: str | None) -> dict[str, Any]:
    document: dict[str, Any] = {}
    host, _, rest = (said.hostname or name).partition(".")
    document["hostname"] = host
    if rest or domain:
        document["fqdn"] = f"{host}.{rest or domain}"
    if said.users:
        document["users"] = ["default", *(_user(user) for user in said.users)]
    for key in ("package_update", "package_upgrade"):
        if getattr(said, key):
            document[key] = True
    if said.packages:
        document["packages"] = list(said.packages)
    if said.write_files:
        document["write_files"] = [_file(file) for file in said.write_files]
    if said.runcmd:
        document["runcmd"] = list(said.runcmd)
    if not said.growpart:
        document |= {"growpart": {"mode": "off"}, "resize_rootfs": False}
    return document


def _user(user: CloudUser) -> dict[str, Any]:
    made: dict[str, Any] = {"name": user.name}
    for key, word in (("gecos", "gecos"), ("home", "homedir"), ("shell", "shell"), ("sudo", "sudo")):
        if (value := getattr(user, key)) is not None:
            made[word] = value
    if user.uid is not None:
        made["uid"] = str(user.uid)  # releases before 23 take no number here
    if user.groups:
        made["groups"] = ", ".join(user.groups)
    if user.system:
        made["system"] = True
    if user.ssh_authorized_keys:
        made["ssh_authorized_keys"] = list(user.ssh_authorized_keys)
    for key in ("hashed_passwd", "plain_text_passwd"):
        if (secret := getattr(user, key)) is not None:
            made[key] = secret
    locked = user.lock_passwd
    if locked is None and (user.hashed_passwd is not None or user.plain_text_passwd is not None):
        locked = False
    return made if locked is None else made | {"lock_passwd": locked}


def _file(file: WriteFile) -> dict[str, Any]:
    made: dict[str, Any] = {"path": file.path, "content": file.content}
    for key in ("owner", "permissions", "encoding"):
        if (value := getattr(file, key)) is not None:
            made[key] = value
    return made | {key: True for key in ("append", "defer") if getattr(file, key)}


def _revealed(value: Any, seen: list[bool]) -> Any:
    """Plain data for the document; `seen` gets an entry for each secret in it."""
    if isinstance(value, SecretStr):
        seen.append(True)
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {key: _revealed(item, seen) for key, item in value.items()}
    if isinstance(value, list):
        return [_revealed(item, seen) for item in value]
    return value


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, as a person would write them."""

    def ignore_aliases(self, data: Any) -> bool:
        """Keys that two users share are written twice."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _multipart(text: str, added: str) -> str:
    """One message of both; a message that is one already is kept whole."""
    boundary = f"=={hashlib.blake2s((text + added).encode()).hexdigest()}=="
    message = MIMEMultipart(boundary=boundary)
    message.attach(_part_of(text))
    part = _part(added, _CLOUD_CONFIG)
    part["Merge-Type"] = _JOINED
    message.attach(part)
    return message.as_string()


def _part_of(text: str) -> Message:
    if text.lstrip().lower().startswith(_MIME):
        return message_from_string(text.lstrip())
    beginning = text.lstrip()
    subtype = next((kind for mark, kind in _BEGINNINGS if beginning.startswith(mark)), None)
    if subtype is None:
        raise NotCombinable(
            "the user data begins with nothing that tells what it is, so 'cloud_init' or 'ssh_keys' cannot be added"
        )
    return _part(text, subtype)


def _part(text: str, subtype: str) -> Message:
    part = MIMENonMultipart("text", subtype, charset="utf-8")
    part.set_payload(text.encode())
    encode_base64(part)  # so that every byte arrives as it was written
    return part


def _clear(text: str | SecretStr) -> tuple[str, bool]:
    return (text.get_secret_value(), True) if isinstance(text, SecretStr) else (text, False)
