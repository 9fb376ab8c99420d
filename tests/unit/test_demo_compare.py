"""The demo's last word: whatever is wrong with the output topic is found."""

import numpy as np
import pytest

from demo.compare import Track, Verdict, compare, tracks
from demo.topics import Output

TIMES = {"A.temp": np.array([1000, 2000, 3000]), "B.temp": np.array([1000, 3000])}


def outputs(key: str) -> list[tuple[str, Output]]:
    return [
        (key, Output(n, int(ts), n + 1, 0.1 * (n + 1), 0.05, 2.0, None if n == 0 else 0.25))
        for n, ts in enumerate(TIMES[key])
    ]


def everything() -> list[tuple[str, Output]]:
    return [*outputs("A.temp"), *outputs("B.temp")]


def judged(found: list[tuple[str, Output]], replayed: list[tuple[str, Output]] | None = None) -> Verdict:
    return compare(TIMES, tracks(everything() if replayed is None else replayed), tracks(found))


def test_a_faithful_topic_is_verified() -> None:
    verdict = judged(everything())
    assert verdict == Verdict(events=5, predictions=5)
    assert verdict.verified


@pytest.mark.parametrize("name", ["prediction", "lower", "upper", "surprise"])
def test_one_bit_of_one_figure_is_found(name: str) -> None:
    found = everything()
    before = np.float32(getattr(found[1][1], name))
    setattr(found[1][1], name, float(np.nextafter(before, np.float32(9))))
    verdict = judged(found)
    assert (verdict.different, verdict.verified) == (1, False)
    assert verdict.examples == ["different: A.temp at 1970-01-01T00:00:02.000Z"]


def test_two_spellings_of_one_float32_are_the_same() -> None:
    found = everything()
    found[0][1].prediction = float(np.float32(0.1))  # 0.10000000149011612
    assert judged(found).verified


def test_null_is_not_a_number() -> None:
    found = everything()
    found[0][1].surprise = 0.0
    assert judged(found).different == 1


def test_another_step_is_found() -> None:
    found = everything()
    found[4][1].step = 3
    assert judged(found).different == 1


def test_a_missing_prediction_is_found() -> None:
    found = everything()
    del found[2]
    verdict = judged(found)
    assert (verdict.missing, verdict.predictions, verdict.verified) == (1, 4, False)


def test_a_missing_stream_is_found() -> None:
    verdict = judged(outputs("A.temp"))
    assert (verdict.missing, verdict.verified) == (2, False)


def test_a_duplicate_is_found_even_where_it_is_identical() -> None:
    verdict = judged([*everything(), everything()[1]])
    assert (verdict.duplicated, verdict.different, verdict.verified) == (1, 0, False)


def test_a_prediction_of_no_event_is_found() -> None:
    stranger = Output(9, 9000, 4, 0.0, 0.0, 0.0, None)
    assert judged([*everything(), ("A.temp", stranger)]).unexpected == 1
    assert judged([*everything(), ("C.temp", stranger)]).unexpected == 1


def test_another_order_is_found() -> None:
    found = everything()
    found[0], found[1] = found[1], found[0]
    verdict = judged(found)
    assert (verdict.reordered, verdict.different, verdict.verified) == (1, 0, False)


def test_a_replay_that_lacks_an_event_verifies_nothing() -> None:
    verdict = judged(everything(), everything()[:-1])
    assert not verdict.verified
    assert verdict.different > 0


def test_nothing_at_all_is_not_verified() -> None:
    assert not compare({}, {}, {}).verified


def test_tracks_keep_the_order_in_which_outputs_stand() -> None:
    found = tracks(reversed(outputs("A.temp")))
    assert isinstance(found["A.temp"], Track)
    assert found["A.temp"].step.tolist() == [3, 2, 1]
