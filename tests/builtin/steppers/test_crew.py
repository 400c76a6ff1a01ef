"""How many threads work, by a clock that is told what each number of them takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from seqdemo.builtin.steppers.crew import Crew


class Machine:
    """Work whose time depends on the number of threads that torch has while it is done.

    Attributes:
        cost: number of threads -> seconds of the next piece.
        now: seconds.
        seen: number of threads of each piece.
    """

    def __init__(self, cost: Callable[[int], float]) -> None:
        self.cost, self.now = cost, 0.0
        self.seen: list[int] = []
        self.crew = Crew(lambda: self.now)

    def work(self, seconds: float, kind: str = "step") -> list[int]:
        """Work for so long: by how many threads each piece was done."""
        began, until = len(self.seen), self.now + seconds
        while self.now < until:
            self.crew.do(kind, self._piece)
        return self.seen[began:]

    def _piece(self) -> None:
        threads = torch.get_num_threads()
        self.seen.append(threads)
        self.now += self.cost(threads)


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def share(seen: list[int], threads: int) -> float:
    return seen.count(threads) / len(seen)


def test_two_threads_work_where_that_is_quicker() -> None:
    """It begins with one, finds out within twenty pieces, and looks again ever more rarely."""
    machine = Machine(lambda threads: 0.001 / threads)
    first = machine.work(0.012)
    assert first[0] == 1
    assert first[-1] == 2
    assert share(machine.work(5.0), 2) > 0.95
    assert share(machine.work(20.0), 2) > 0.99


@pytest.mark.parametrize("gain", [1.0, 1.1, 0.5])
def test_one_thread_works_where_two_gain_little(gain: float) -> None:
    """Processors have other things to do: a tenth is not worth a second one."""
    machine = Machine(lambda threads: 0.001 if threads == 1 else 0.001 / gain)
    machine.work(5.0)
    assert share(machine.work(20.0), 1) > 0.99


def test_a_process_that_takes_a_core_is_noticed_and_its_going_too() -> None:
    """Every twentieth piece of two threads waits 16 ms; each by itself is still quicker. Little time is lost."""
    machine, busy = Machine(lambda threads: 0.0), True

    def cost(threads: int) -> float:
        if threads == 1:
            return 0.001
        return 0.0165 if busy and len(machine.seen) % 20 == 0 else 0.0006

    machine.cost = cost
    machine.work(2.0)
    began = len(machine.seen)
    machine.work(20.0)
    assert 20.0 / (len(machine.seen) - began) < 0.00108
    busy = False
    machine.work(5.0)
    assert share(machine.work(5.0), 2) > 0.98
    busy = True
    machine.work(0.2)
    assert share(machine.work(5.0), 1) > 0.95


def test_a_single_long_piece_does_not_end_it_for_long() -> None:
    """The garbage collector may run within any piece."""
    machine = Machine(lambda threads: 0.001 / threads)
    machine.work(5.0)
    at = len(machine.seen) + 10
    machine.cost = lambda threads: 0.001 / threads + 0.05 * (len(machine.seen) == at)
    machine.work(1.0)
    assert share(machine.work(1.0), 2) > 0.95


def test_more_than_two_are_climbed_to_one_after_another() -> None:
    """Six threads, of which four are best."""
    torch.set_num_threads(6)
    machine = Machine(lambda threads: {1: 0.004, 2: 0.002, 4: 0.001, 6: 0.0015}[threads])
    seen = machine.work(5.0)
    assert list(dict.fromkeys(seen)) == [1, 2, 4, 6]
    assert share(machine.work(10.0), 4) > 0.97


def test_kinds_are_measured_by_themselves() -> None:
    """A step of one row may want one thread, a step of 32 two."""
    machine = Machine(lambda threads: 0.001)
    machine.work(1.0, "one row")
    machine.cost = lambda threads: 0.010 / threads
    machine.work(5.0, "many rows")
    assert (machine.crew.threads("one row"), machine.crew.threads("many rows")) == (1, 2)
    assert machine.crew.threads("never seen") == 1


def test_what_was_set_is_set_again_and_errors_are_nobodys_time() -> None:
    """Whoever else uses torch finds it as it was."""
    machine = Machine(lambda threads: 0.001)

    def breaks() -> None:
        assert torch.get_num_threads() == 1
        raise RuntimeError("this piece breaks")

    machine.work(0.002)
    with pytest.raises(RuntimeError, match="this piece breaks"):
        machine.crew.do("step", breaks)
    assert torch.get_num_threads() == 2


def test_one_thread_alone_is_not_timed() -> None:
    """Where torch may use one, there is nothing to find out."""
    torch.set_num_threads(1)

    def clock() -> float:
        raise AssertionError("nobody needs the time")

    assert Crew(clock).do("step", lambda: 7) == 7
