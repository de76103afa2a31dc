"""Work that is shared out a piece at a time."""

from fashion.data.prepare.tasks import AHEAD, run_streamed

CPUS = 4  # of the tests' Ray


def test_a_piece_is_taken_when_a_task_can_soon_begin(ray_running):
    taken = 0

    def work():
        nonlocal taken
        for number in range(40):
            taken += 1
            yield number

    done = []
    for square in run_streamed(lambda number: number * number, work(), task_cpus=2.0):
        assert taken <= len(done) + AHEAD * CPUS // 2 + 1
        done.append(square)
    assert sorted(done) == [number * number for number in range(40)]
    assert not list(run_streamed(lambda number: number, iter(()), task_cpus=2.0))
