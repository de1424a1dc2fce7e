from __future__ import annotations

import pytest

from javis.core.errors import Busy
from javis.service.admission import Admission


def test_a_free_place_is_given_at_once() -> None:
    with Admission(1, 0).ticket() as ticket:
        assert ticket.ready.is_set()


def test_the_line_is_served_in_order() -> None:
    admission = Admission(1, 2)
    with admission.ticket():
        first, second = admission.ticket(), admission.ticket()
        one, two = first.__enter__(), second.__enter__()
        assert not one.ready.is_set()
    assert one.ready.is_set()
    assert not two.ready.is_set()
    first.__exit__(None, None, None)
    assert two.ready.is_set()
    second.__exit__(None, None, None)
    with admission.ticket() as again:
        assert again.ready.is_set()


def test_a_full_line_refuses() -> None:
    admission = Admission(1, 1)
    with admission.ticket(), admission.ticket(), pytest.raises(Busy), admission.ticket():
        pass


def test_who_leaves_the_line_takes_no_place_along() -> None:
    admission = Admission(1, 2)
    with admission.ticket():
        with admission.ticket():
            pass
        with admission.ticket() as waiting:
            assert not waiting.ready.is_set()
    with admission.ticket() as ticket:
        assert ticket.ready.is_set()
