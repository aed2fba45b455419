from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from support.cloud import FakeDetector, picture

from secondlook.cloud.engine.batching.lanes import (
    IMAGES,
    TENSORS,
    ImageInput,
    ImageLane,
    Instance,
    TensorInput,
    TensorLane,
)
from secondlook.cloud.engine.tensors import Array, Signature, Tensors, TensorSpec
from secondlook.shared.errors import InvalidInput, ModelFailure


class Doubles:
    """Gives twice ``x``, and ``n`` as it came."""

    device = "CPU"
    memory_bytes = 0
    detector: FakeDetector | None = None

    def __init__(self, max_batch: int = 8, *, short: bool = False) -> None:
        self.signature = Signature(
            (TensorSpec("x", "FP32", (-1,)), TensorSpec("n", "BYTES", (1,))),
            (TensorSpec("y", "FP32", (-1,)), TensorSpec("m", "BYTES", (1,))),
            max_batch,
        )
        self.asked: list[tuple[str, ...]] = []
        self.closed = False
        self._short = short

    def run(self, inputs: Tensors, outputs: Sequence[str] = ()) -> dict[str, Array]:
        self.asked.append(tuple(outputs))
        every = {"y": inputs["x"] * 2, "m": inputs["n"]}
        if self._short:
            every["y"] = every["y"][:1]
        return {name: every[name] for name in outputs or every}

    def warm_up(self) -> None: ...

    def close(self) -> None:
        self.closed = True


def ask(rows: int, length: int = 3, outputs: Sequence[str] = (), first: float = 0.0) -> TensorInput:
    x = np.arange(rows * length, dtype=np.float32).reshape(rows, length) + first
    names = np.array([[b"row %d" % n] for n in range(rows)], np.object_)
    return TensorInput({"x": x, "n": names}, outputs)


def test_each_gets_its_own_rows_and_outputs() -> None:
    backend = Doubles()
    lane = TensorLane(backend)
    asked = [ask(2, first=10.0), ask(1, outputs=["m"]), ask(3, outputs=["y"], first=50.0)]
    answers = lane.run(asked)
    assert backend.asked == [()], "all, as one wants all"
    for question, answer in zip(asked, answers, strict=True):
        assert isinstance(answer, dict)
        assert set(answer) == set(question.outputs or ("y", "m"))
        if "y" in answer:
            np.testing.assert_array_equal(answer["y"], question.tensors["x"] * 2)
        if "m" in answer:
            np.testing.assert_array_equal(answer["m"], question.tensors["n"])


def test_only_wanted_outputs_are_asked_for() -> None:
    backend = Doubles()
    TensorLane(backend).run([ask(1, outputs=["y"]), ask(1, outputs=["y", "m"])])
    TensorLane(backend).run([ask(1, outputs=["m"])])
    assert backend.asked == [("m", "y"), ("m",)]


def test_inputs_stay_as_they_are_and_one_alone_is_not_copied() -> None:
    seen: list[Tensors] = []

    class Looks(Doubles):
        def run(self, inputs: Tensors, outputs: Sequence[str] = ()) -> dict[str, Array]:
            seen.append(inputs)
            return super().run(inputs, outputs)

    lane, alone = TensorLane(Looks()), ask(2)
    lane.run([alone])
    assert seen[0]["x"] is alone.tensors["x"]
    both = [ask(1), ask(2)]
    before = [question.tensors["x"].copy() for question in both]
    lane.run(both)
    for question, copy in zip(both, before, strict=True):
        np.testing.assert_array_equal(question.tensors["x"], copy)


def test_lengths_that_are_free_must_be_equal_to_share_a_batch() -> None:
    lane = TensorLane(Doubles())
    assert lane.key(ask(1, 3)) == lane.key(ask(4, 3))
    assert lane.key(ask(1, 3)) != lane.key(ask(1, 4))


def test_without_a_batch_axis_nothing_shares_a_batch() -> None:
    lane = TensorLane(Doubles(0))
    question = TensorInput({"x": np.zeros(3, np.float32), "n": np.array([b"a"], np.object_)})
    assert lane.rows(question) == 1
    assert lane.key(question) != lane.key(question)


@pytest.mark.parametrize(
    ("question", "names"),
    [
        (TensorInput({}), "'x' is missing"),
        (ask(9), "1 to 8 rows"),
        (ask(1, outputs=["y", "z"]), "unexpected output 'z'"),
        (TensorInput({**ask(1).tensors, "q": np.zeros(1)}), "unexpected input 'q'"),
    ],
)
def test_what_the_model_does_not_take_is_said_before_it_waits(
    question: TensorInput, names: str
) -> None:
    with pytest.raises(InvalidInput, match=names):
        TensorLane(Doubles()).rows(question)


def test_a_network_that_gives_too_few_rows_has_failed() -> None:
    with pytest.raises(ModelFailure, match="for 3 rows"):
        TensorLane(Doubles(short=True)).run([ask(1), ask(2)])


def test_images_keep_to_the_score_that_each_asked_for() -> None:
    image = picture(32, 32, (4, 4, 20, 20))
    lane = ImageLane(FakeDetector())
    (all_,) = lane.run([ImageInput(image, 0.01)])
    assert len(all_) > 0  # type: ignore[arg-type]
    both = lane.run([ImageInput(image, 0.01), ImageInput(image, 0.999)])
    assert [len(found) for found in both] == [len(all_), 0]  # type: ignore[arg-type]


def test_a_lazy_image_is_asked_for_when_it_runs_and_fails_alone() -> None:
    image = picture(32, 32, (4, 4, 20, 20))

    def broken() -> np.ndarray:
        raise InvalidInput("no picture")

    lane = ImageLane(FakeDetector())
    answers = lane.run(
        [ImageInput(lambda: image, 0.1), ImageInput(broken, 0.1), ImageInput(image, 0.1)]
    )
    assert isinstance(answers[1], InvalidInput)
    assert len(answers[0]) == len(answers[2]) > 0  # type: ignore[arg-type]
    (only,) = lane.run([ImageInput(broken, 0.1)])
    assert isinstance(only, InvalidInput)


def test_an_instance_has_the_lanes_that_its_backend_has() -> None:
    backend = Doubles()
    instance = Instance.of(backend)
    assert set(instance.lanes) == {TENSORS}
    assert instance.here
    backend.detector = FakeDetector()
    backend.device = "CUDA:0"
    instance = Instance.of(backend)
    assert set(instance.lanes) == {TENSORS, IMAGES}
    assert not instance.here
    instance.close()
    assert backend.closed
