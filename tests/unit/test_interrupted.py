"""What a killed run leaves in the record, and what becomes of it."""

from provision.host import interrupted

SERVER = "provision-memory:compute:Server"


def operation(type, kind="creating", urn="urn:a"):
    return {"type": kind, "resource": {"type": type, "urn": urn}}


def test_notes_of_everything_that_a_good_run_has_settled_are_taken_off():
    kinds = [SERVER, "provision:index:Machine", "pulumi:index:Stash", "pulumi:providers:provision-memory"]
    state = {"pending_operations": [operation(kind) for kind in kinds], "resources": ["what is there"]}

    assert interrupted.without_settled(state) == {"pending_operations": [], "resources": ["what is there"]}


def test_notes_of_somebody_elses_resources_stay():
    foreign = operation("aws:s3:Bucket")

    left = interrupted.without_settled({"pending_operations": [operation(SERVER), foreign]})

    assert left == {"pending_operations": [foreign]}
    assert interrupted.without_settled(left) is None, "nothing is to be written"


def test_what_was_made_changed_or_replaced_is_told_apart():
    deployment = {
        "pending_operations": [
            operation(SERVER, "creating", "urn:new"),
            operation(SERVER, "creating", "urn:replaced"),
            operation(SERVER, "deleting", "urn:going"),
            operation("aws:s3:Bucket", "updating", "urn:foreign"),
        ],
        "resources": [{"urn": "urn:replaced"}, {"urn": "urn:going"}],
    }

    assert interrupted.pending_creates(deployment) == ["urn:new", "urn:replaced"]
    assert interrupted.uncertain(deployment) == ["urn:going"]
    assert interrupted.half_replaced(deployment) == ["urn:replaced"]


def test_what_was_taken_up_since_is_not_replaced_for_a_create_that_is_still_noted():
    def urn(token):
        return f"urn:pulumi:dev::shop::provision:index:Stack$provision-memory:{token}::it"

    group, server = urn("network:Group"), urn("compute:Server")
    types = {group: "provision-memory:network:Group", server: "provision-memory:compute:Server"}
    deployment = {
        "resources": [{"urn": item} for item in types],
        "pending_operations": [
            {"type": "creating", "resource": {"urn": item, "type": kind}} for item, kind in types.items()
        ],
    }
    assert interrupted.pending_creates(deployment) == [group, server]
    assert interrupted.half_replaced(deployment) == [group], "its new object is made before the old one goes"


def test_half_written_side_files_are_removed_and_whole_ones_and_the_state_stay(tmp_path):
    folder = tmp_path / ".pulumi" / "stacks" / "shop"
    folder.mkdir(parents=True)
    for name, text in {"dev.json": "", "dev.json.attrs": "", "prod.json.attrs": "{}"}.items():
        (folder / name).write_text(text)

    removed = interrupted.mend_file_backend(f"file://{tmp_path}", "shop")

    assert [file.name for file in removed] == ["dev.json.attrs"]
    assert sorted(file.name for file in folder.iterdir()) == ["dev.json", "prod.json.attrs"]


def test_a_stack_is_known_from_a_backend_in_a_folder_and_from_no_other(tmp_path):
    url = f"file://{tmp_path}?metadata=skip"
    record = tmp_path / ".pulumi" / "stacks" / "shop" / "dev.json"
    record.parent.mkdir(parents=True)

    assert not interrupted.is_recorded(url, "shop", "dev")
    record.write_text("{}")
    assert interrupted.is_recorded(url, "shop", "dev")
    assert not interrupted.is_recorded(url, "shop", "prod")
    assert not interrupted.is_recorded("s3://bucket", "shop", "dev")
