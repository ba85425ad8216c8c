"""In what order the test files are given to the processes that run them, and which files stay together in one of them.

Only speed depends on it, but for `TOGETHER`: files that share what one machine has once, or an expensive fixture.
"""

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

TOGETHER = {
    "a real OpenStack": (  # started once in a process, and kept for the rest of its run
        "plugins/openstack/tests/test_openstack_conformance.py",
        "plugins/openstack/tests/test_openstack_faults.py",
        "plugins/openstack/tests/test_openstack_left.py",
        "plugins/openstack/tests/test_openstack_live.py",
        "plugins/openstack/tests/test_openstack_machines.py",
        "plugins/openstack/tests/test_openstack_many.py",
        "plugins/openstack/tests/test_openstack_stacks.py",
        "plugins/openstack/tests/test_openstack_two_clouds.py",
        "plugins/openstack/tests/test_openstack_verify_lab.py",
    ),
    "the huge pages of this machine": (
        "plugins/libvirt/tests/test_effective_lab.py",
        "tests/integration/lab/test_lab_isolation.py",
    ),
}
"""Files that one process runs, one after the other, by what they share."""

LONGEST_FIRST = (
    "a real OpenStack",
    "plugins/libvirt/tests/test_conformance.py",
    "plugins/aws/tests/test_aws_conformance.py",
    "tests/integration/lab/test_lab_cloud_init.py",  # on a new machine it builds a system first
    "tests/integration/test_container_image.py",  # and this one another
    "the huge pages of this machine",
    "tests/integration/lab/test_lab_edits.py",
    "tests/integration/lab/test_lab_web.py",
    "tests/integration/lab/test_lab_killed.py",
    "tests/integration/test_engine_provider.py",
    "tests/integration/test_engine_programs.py",
    "tests/integration/test_engine_language.py",
    "tests/integration/test_tutorial.py",
    "tests/integration/lab/test_lab_locations.py",
    "tests/integration/lab/test_lab_closed.py",
    "tests/integration/lab/test_lab_daytwo.py",
    "tests/integration/test_engine_backends.py",
    "tests/integration/test_commands.py",
    "tests/integration/test_engine_cli.py",
    "tests/integration/test_engine_annotations.py",
    "plugins/libvirt/tests/test_resources_lab.py",
    "plugins/libvirt/tests/test_daemon_restarts.py",
    "tests/integration/lab/test_lab_recovers.py",
    "tests/integration/lab/test_lab_bad_days.py",
    "plugins/openstack/tests/test_openstack_hosts.py",
    "tests/integration/test_engine_edits.py",
)
"""What takes longest comes first, so that no process is left with it when the others have ended.

Of the rest, whatever has most tests is next.
"""

_GROUPS = {file: group for group, files in TOGETHER.items() for file in files}
_RANKS = {group: rank for rank, group in enumerate(LONGEST_FIRST)}


class GroupScheduling(LoadFileScheduling):
    """Gives a file, or files that stay together, at a time to the process that has the least left to do."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return _GROUPS.get(file, file)

    def _assign_work_unit(self, node: WorkerController) -> None:
        first = min(self.workqueue, key=lambda group: _RANKS.get(group, len(_RANKS)))
        self.workqueue.move_to_end(first, last=False)
        super()._assign_work_unit(node)
