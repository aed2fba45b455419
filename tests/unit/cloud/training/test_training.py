"""The training learns, resumes, measures honestly, and exports what it trained."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from secondlook.cloud.training.data import (  # noqa: E402
    TEST_SEEDS,
    TRAIN_SEEDS,
    VALIDATION_SEEDS,
    FrameSet,
    batches,
    render,
)
from secondlook.cloud.training.evaluate import match, score, suppress  # noqa: E402
from secondlook.cloud.training.export import calibration, export, fold  # noqa: E402
from secondlook.cloud.training.loss import Targets, detection_loss, generalized_iou  # noqa: E402
from secondlook.cloud.training.network import (  # noqa: E402
    VARIANTS,
    Detector,
    gflops,
    parameter_count,
)
from secondlook.cloud.training.train import Plan, learning_rate, load_state, train  # noqa: E402

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> FrameSet:
    return render(tmp_path_factory.mktemp("frames"), range(10_000, 10_002), 4, workers=1)


def test_seeds_of_training_validation_and_test_do_not_meet() -> None:
    assert not set(TRAIN_SEEDS) & set(VALIDATION_SEEDS)
    assert not (set(TRAIN_SEEDS) | set(VALIDATION_SEEDS)) & set(TEST_SEEDS)
    assert 7 in TEST_SEEDS


def test_thirty_steps_lower_the_loss(frames: FrameSet) -> None:
    torch.manual_seed(0)
    variant = VARIANTS["light"]
    network = Detector(variant)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    stream = batches(frames, variant, 4, seed=0, whole=True)
    losses = []
    for _ in range(30):
        images, targets = next(stream)
        loss, _ = detection_loss(*network(images), targets, variant.input_size)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_training_writes_a_checkpoint_and_resumes(frames: FrameSet, tmp_path: Path) -> None:
    cache = Path(str(frames.images.filename)).parent  # type: ignore[attr-defined]
    seeds = range(10_000, 10_002)

    def plan(steps: int) -> Plan:
        return Plan(steps, batch=2, frames_per_seed=4, cache=cache, threads=1, train_seeds=seeds)

    train("light", tmp_path, plan(3))
    assert load_state("light", tmp_path).step == 3
    train("light", tmp_path, plan(5))
    assert load_state("light", tmp_path).step == 5


def test_an_unknown_variant_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="enormous"):
        train("enormous", tmp_path, Plan(steps=1))


@pytest.mark.parametrize("name", ["light", "heavy"])
def test_export_answers_like_torch(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = Detector(VARIANTS[name]).eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 2.0)
    path = tmp_path / "model.onnx"
    export(network, path, shift=0.7)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    width, height = VARIANTS[name].input_size
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    given = session.run(None, {"images": images})[0]
    with torch.no_grad():
        boxes, logits = network(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    expected = torch.cat((boxes, (logits + 0.7).sigmoid()), 1).numpy()
    np.testing.assert_allclose(given, expected, rtol=1e-3, atol=1e-3)
    facts = session.get_modelmeta().custom_metadata_map
    assert ast.literal_eval(facts["names"]) == {
        0: "person", 1: "bicycle", 2: "car", 3: "bus", 4: "truck",
    }  # fmt: skip
    assert facts["head"] == "yolov8"
    assert facts["license"] == "Apache-2.0"


@pytest.mark.parametrize(("threshold", "wanted"), [(0.48, 0.25), (0.1, 0.35), (0.3, 0.3)])
def test_calibration_moves_the_best_threshold(threshold: float, wanted: float) -> None:
    logit = torch.logit(torch.tensor(threshold))
    moved = torch.sigmoid(logit + calibration(threshold, wanted))
    assert moved.item() == pytest.approx(wanted, abs=1e-6)


def test_folding_leaves_the_original_alone() -> None:
    network = Detector(VARIANTS["light"]).eval()
    before = network.stem[0].weight.clone()
    fold(network)
    assert torch.equal(before, network.stem[0].weight)


def test_models_stay_within_their_budgets() -> None:
    assert parameter_count(Detector(VARIANTS["light"])) <= 370_000
    assert parameter_count(Detector(VARIANTS["heavy"])) <= 3_700_000
    assert gflops(VARIANTS["heavy"]) <= 3.6


def test_ignored_objects_teach_nothing() -> None:
    """Raising the score inside an ignored object must not change the loss."""
    variant = VARIANTS["light"]
    size = variant.input_size
    cells = sum(size[0] // s * (size[1] // s) for s in (4, 8, 16, 32))
    targets = Targets(
        boxes=torch.tensor([[[0.0, 0.0, 320.0, 192.0]]]),
        classes=torch.zeros(1, 1, dtype=torch.int64),
        valid=torch.zeros(1, 1, dtype=torch.bool),
        ignore=torch.ones(1, 1, dtype=torch.bool),
    )
    boxes = torch.ones(1, 4, cells)
    for level in (-5.0, 5.0):
        loss, _ = detection_loss(boxes, torch.full((1, 5, cells), level), targets, size)
        assert loss.item() == 0.0


def test_generalized_iou_of_known_boxes() -> None:
    a = torch.tensor([[0.0, 0, 2, 2], [0.0, 0, 1, 1]])
    b = torch.tensor([[0.0, 0, 2, 2], [3.0, 0, 4, 1]])
    assert generalized_iou(a, b).tolist() == pytest.approx([1.0, -0.5])


def test_crops_keep_boxes_inside(frames: FrameSet) -> None:
    images, targets = next(batches(frames, VARIANTS["heavy"], 8, seed=3))
    assert images.shape == (8, 3, 192, 320)
    boxes = targets.boxes[targets.valid | targets.ignore]
    assert len(boxes)
    assert (boxes[:, 0::2] >= 0).all()
    assert (boxes[:, 0::2] <= 320).all()
    assert (boxes[:, 1::2] <= 192).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_scores_of_a_known_answer() -> None:
    """Two objects and an ignored one: one found, one missed, one false alarm."""
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], np.float32)
    classes, ignore = np.array([0, 2, 1]), np.array([False, False, True])
    answer = (
        np.array([[0, 0, 10, 9], [21, 0, 30, 10], [40, 0, 50, 10]], np.float32),
        np.array([0.9, 0.8, 0.95], np.float32),
        np.array([0, 4, 1]),
    )
    result, _ = match(answer, boxes, classes, ignore)
    assert result.tolist() == [0, -1, -2]
    scores = score([answer], [boxes], [classes], [ignore], threshold=0.1)
    assert scores.objects == 2
    assert scores.precision == pytest.approx(0.5)
    assert scores.recall == pytest.approx(0.5)
    assert scores.f1 == pytest.approx(0.5)


def test_suppression_is_by_class() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 10]], np.float32)
    kept = suppress(boxes, np.array([0.5, 0.9, 0.4], np.float32), np.array([0, 0, 1]))
    assert sorted(kept.tolist()) == [1, 2]


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [learning_rate(s / 100) for s in range(101)]
    peak = int(np.argmax(rates))
    assert 0 < peak < 10
    assert all(a >= b for a, b in zip(rates[peak:], rates[peak + 1 :], strict=False))
    assert rates[-1] < 0.02 * max(rates)
