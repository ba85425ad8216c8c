"""The order in which test files are given to processes, and which of them stay together."""

from pathlib import Path
from types import SimpleNamespace

import scheduling

ROOT = Path(__file__).parents[2]
OPENSTACK, HUGE_PAGES = scheduling.TOGETHER.values()


class Process:
    """One that runs tests, one after the other, as it is told to."""

    shutting_down = False

    def __init__(self, tests):
        self.tests = tests
        self.gateway = SimpleNamespace(id="process")
        self.given = []

    def send_runtest_some(self, indices):
        self.given += indices

    def shutdown(self):
        self.shutting_down = True

    @property
    def files(self):
        """Those that it was given, in its order, and each as often as it was turned to."""
        files = [self.tests[index].partition("::")[0] for index in self.given]
        return [file for file, before in zip(files, [None, *files], strict=False) if file != before]


def scheduled(sizes, count):
    """What processes have run in the end that are all as fast; `sizes` says how many tests a file has."""
    tests = [f"{file}::test_{number}" for file, size in sizes.items() for number in range(size)]
    config = SimpleNamespace(
        getvalue=lambda name: [f"{count}*popen"], option=SimpleNamespace(loadscopereorder=True, debug=False)
    )
    made = scheduling.GroupScheduling(config)
    processes = [Process(tests) for _ in range(count)]
    for process in processes:
        made.add_node(process)
        made.add_node_collection(process, tests)
    made.schedule()
    for turn in range(len(tests)):
        for process in processes:
            if turn < len(process.given):
                made.mark_test_complete(process, process.given[turn])
    assert sorted(index for process in processes for index in process.given) == list(range(len(tests)))
    return [process.files for process in processes]


def test_what_shares_something_is_run_by_one_process():
    others = {f"tests/unit/test_{number}.py": 3 for number in range(20)}
    sizes = dict(zip(OPENSTACK, [1, 40, *[7] * len(OPENSTACK)], strict=False)) | others | dict.fromkeys(HUGE_PAGES, 2)
    for count in (1, 2, 3):
        found = scheduled(sizes, count)
        for together in (OPENSTACK, HUGE_PAGES):
            assert sum(not set(together).isdisjoint(files) for files in found) == 1
        assert sum(map(len, found)) == len(sizes), "a file's tests are run without others between them"


def test_the_longest_come_first_and_then_what_has_most_tests():
    longest = [name for name in scheduling.LONGEST_FIRST if name not in scheduling.TOGETHER]
    sizes = {"b.py": 2, "a.py": 9} | dict.fromkeys(reversed(longest), 1)
    assert scheduled(sizes, 1) == [[*longest, "a.py", "b.py"]]


def test_all_that_is_named_is_there():
    named = {*scheduling.LONGEST_FIRST, *OPENSTACK, *HUGE_PAGES} - scheduling.TOGETHER.keys()
    assert [file for file in sorted(named) if not (ROOT / file).is_file()] == []
    assert scheduling.TOGETHER.keys() <= set(scheduling.LONGEST_FIRST)
