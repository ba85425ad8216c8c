"""First-boot data: what a machine's words come to, as cloud-init would read it."""

import base64
from email import message_from_string

import pytest
import yaml
from pydantic import SecretStr

from provision.models import CloudInit
from provision.translate.cloudconfig import HEADER, NotCombinable, cloud_config, first_boot

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL3y9a1s5Bm9JxK2e3S3f+cHxR2rDwyz8pW89Tek678a me"


def read(text):
    """A document as cloud-init's own reader takes it."""
    clear = text.get_secret_value() if isinstance(text, SecretStr) else text
    assert clear.startswith("#cloud-config\n")
    return yaml.safe_load(clear)


def said(**words):
    return CloudInit.model_validate(words)


def parts(message):
    found = message_from_string(message)
    assert found.get_content_type() == "multipart/mixed"
    return [
        (part.get_content_type(), part.get_payload(decode=True).decode(), part["Merge-Type"])
        for part in found.walk()
        if not part.is_multipart()
    ]


def test_nothing_said_is_nothing_rendered():
    assert first_boot("web", None, [], None) is None
    assert first_boot("web", None, [], "as it stands") == "as it stands"


def test_keys_alone_are_for_the_default_user():
    assert read(first_boot("web", None, [KEY], None)) == {"ssh_authorized_keys": [KEY]}


def test_every_word_reaches_the_document():
    document = read(
        cloud_config(
            "web-0",
            said(
                users=[
                    {
                        "name": "op",
                        "gecos": "Operator, the",
                        "groups": ["adm", "sudo"],
                        "home": "/srv/op",
                        "shell": "/bin/bash",
                        "uid": 4000,
                        "system": True,
                        "sudo": ["ALL=(ALL) NOPASSWD:ALL"],
                        "ssh_authorized_keys": [KEY],
                        "hashed_passwd": SecretStr("$6$salt$hash"),
                    }
                ],
                package_update=True,
                package_upgrade=True,
                packages=["nginx"],
                write_files=[
                    {
                        "path": "/etc/app",
                        "content": "a: b\n#c\n",
                        "owner": "op:op",
                        "permissions": "0600",
                        "append": True,
                        "defer": True,
                        "encoding": "b64",
                    }
                ],
                runcmd=["echo ${HOME} > /x", ["touch", "no", "0644"]],
                growpart=False,
            ),
            [KEY],
            "example.org",
        )
    )
    assert document == {
        "ssh_authorized_keys": [KEY],
        "hostname": "web-0",
        "fqdn": "web-0.example.org",
        "users": [
            "default",
            {
                "name": "op",
                "gecos": "Operator, the",
                "homedir": "/srv/op",
                "shell": "/bin/bash",
                "sudo": ["ALL=(ALL) NOPASSWD:ALL"],
                "uid": "4000",
                "groups": "adm, sudo",
                "system": True,
                "ssh_authorized_keys": [KEY],
                "hashed_passwd": "$6$salt$hash",
                "lock_passwd": False,
            },
        ],
        "package_update": True,
        "package_upgrade": True,
        "packages": ["nginx"],
        "write_files": [
            {
                "path": "/etc/app",
                "content": "a: b\n#c\n",
                "owner": "op:op",
                "permissions": "0600",
                "encoding": "b64",
                "append": True,
                "defer": True,
            }
        ],
        "runcmd": ["echo ${HOME} > /x", ["touch", "no", "0644"]],
        "growpart": {"mode": "off"},
        "resize_rootfs": False,
    }


def test_every_field_of_the_models_leaves_a_trace():
    """A word that is checked and then dropped would be worse than one that is refused."""
    values = {
        "hostname": "other.example.org",
        "users": [{"name": "x"}],
        "package_update": True,
        "package_upgrade": True,
        "packages": ["x"],
        "write_files": [{"path": "/x"}],
        "runcmd": ["x"],
        "growpart": False,
    }
    assert values.keys() == CloudInit.model_fields.keys() - {"template"}
    plain = cloud_config("m", said(), [])
    for name, value in values.items():
        assert cloud_config("m", said(**{name: value}), []) != plain, name


@pytest.mark.parametrize(
    ("name", "hostname", "domain", "expected"),
    [
        ("web-0", None, None, {"hostname": "web-0"}),
        ("web-0", None, "lan", {"hostname": "web-0", "fqdn": "web-0.lan"}),
        ("web-0", "gate", "lan", {"hostname": "gate", "fqdn": "gate.lan"}),
        ("web-0", "gate.example.org", "lan", {"hostname": "gate", "fqdn": "gate.example.org"}),
    ],
)
def test_the_host_name_is_the_machines_unless_another_is_said(name, hostname, domain, expected):
    assert read(cloud_config(name, said(**({"hostname": hostname} if hostname else {})), [], domain)) == expected


def test_a_password_is_locked_only_when_the_file_says_so():
    user = {"name": "x", "plain_text_passwd": SecretStr("hush"), "lock_passwd": True}
    text = cloud_config("m", said(users=[user]), [])
    assert read(text)["users"][1]["lock_passwd"] is True


@pytest.mark.parametrize(
    "secret",
    [
        {"users": [{"name": "x", "hashed_passwd": SecretStr("hush")}]},
        {"write_files": [{"path": "/x", "content": SecretStr("hush")}]},
        {"runcmd": [SecretStr("hush")]},
        {"runcmd": [["echo", SecretStr("hush")]]},
    ],
)
def test_what_holds_a_secret_is_secret(secret):
    text = cloud_config("m", said(**secret), [])
    assert isinstance(text, SecretStr)
    assert "hush" in text.get_secret_value()
    assert isinstance(first_boot("m", said(**secret), [], "#!/bin/sh\n"), SecretStr)
    assert isinstance(first_boot("m", said(), [], SecretStr("#!/bin/sh\n")), SecretStr)


def test_the_same_words_give_the_same_bytes():
    words = {"packages": ["b", "a"], "runcmd": ["x"]}
    assert first_boot("m", said(**words), [KEY], "#!/bin/sh\n") == first_boot("m", said(**words), [KEY], "#!/bin/sh\n")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("#!/bin/sh\necho ümläut\r\n", "text/x-shellscript"),
        ("#cloud-config\nruncmd: [ls]\n", "text/cloud-config"),
        ("#cloud-config-archive\n[]\n", "text/cloud-config-archive"),
        ("#cloud-boothook\nx\n", "text/cloud-boothook"),
        ("#include\nhttp://x\n", "text/x-include-url"),
        ("#include-once\nhttp://x\n", "text/x-include-once-url"),
        ("## template: jinja\n#cloud-config\n", "text/jinja2"),
        ("#part-handler\n", "text/part-handler"),
    ],
)
def test_user_data_speaks_first_and_arrives_byte_by_byte(text, kind):
    first, second = parts(first_boot("web", said(packages=["vim"]), [], text))
    assert first == (kind, text, None)
    assert second[0] == "text/cloud-config"
    assert read(second[1])["packages"] == ["vim"]
    assert second[2] == "list(append)+dict(no_replace,recurse_array)+str()"


def test_a_message_of_several_parts_is_kept_whole():
    given = first_boot("web", None, [KEY], "#!/bin/sh\necho one\n")
    found = parts(first_boot("web", said(packages=["vim"]), [], given))
    assert [kind for kind, _, _ in found] == ["text/x-shellscript", "text/cloud-config", "text/cloud-config"]
    assert found[0][1] == "#!/bin/sh\necho one\n"


def test_what_cannot_be_told_from_the_rest_is_refused():
    with pytest.raises(NotCombinable, match="begins with nothing that tells what it is"):
        first_boot("web", None, [KEY], "echo hello\n")


def test_texts_of_several_lines_stay_readable():
    text = cloud_config("m", said(write_files=[{"path": "/x", "content": "one\ntwo\n"}]), [])
    assert text.startswith(HEADER)
    assert "content: |\n    one\n    two\n" in text
    assert base64.b64encode(b"one").decode() not in text
