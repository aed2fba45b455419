"""The same boxes as ultralytics itself, from networks that ultralytics exported.

The networks come from its own YAML, with drawn weights: nothing is downloaded.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secondlook.shared import geometry
from secondlook.shared.detect import load_detector

SIZE = (256, 320)

CASES = [
    pytest.param("yolov8n.yaml", {}, "yolov8", id="yolov8"),
    pytest.param("yolo11n.yaml", {}, "yolov8", id="yolo11"),
    pytest.param("yolo26n.yaml", {}, "yolov8", id="yolo26"),
    pytest.param("yolo26n.yaml", {"nms": False}, "end2end", id="yolo26-end-to-end"),
    pytest.param("yolov10n.yaml", {"nms": False}, "end2end", id="yolov10-end-to-end"),
    pytest.param("yolov8-rtdetr.yaml", {}, "rtdetr_topk", id="rtdetr"),
]


def _picture() -> np.ndarray:
    """Blobs of colour, 640 x 360: enough for random filters to disagree about places."""
    rng = np.random.default_rng(11)
    coarse = rng.integers(0, 256, (9, 16, 3), np.uint8)
    return np.kron(coarse, np.ones((40, 40, 1), np.uint8)).astype(np.uint8)


def _sharpen(model: Any, picture: np.ndarray, torch: Any) -> None:
    """Give a fresh network opinions: a few of its scores become high, most stay low."""
    head = model.model.model[-1]
    if not hasattr(head, "cv3"):
        with torch.no_grad():
            for layer in head.dec_score_head:
                layer.weight.mul_(20)
                layer.bias.normal_(-2, 1)
        return
    height, width = SIZE
    pixels = np.ascontiguousarray(picture[:: 360 // height, :: 640 // width][:height, :width])
    feed = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    groups = [getattr(head, name, None) for name in ("cv3", "one2one_cv3")]
    for branch in (branch for group in groups if group is not None for branch in group):
        seen: list[Any] = []
        last = branch[-1]
        hook = last.register_forward_hook(lambda _m, _i, out, seen=seen: seen.append(out.detach()))
        with torch.no_grad(), contextlib.closing(_Removing(hook)):
            last.weight.normal_(0, 1)
            last.bias.zero_()
            model.model.eval()(feed)
            if seen:
                scale = 3 / (seen[-1].std() + 1e-9)
                last.weight.mul_(scale)
                last.bias.fill_(float(-1.1 - torch.quantile(seen[-1].flatten() * scale, 0.997)))


class _Removing:
    def __init__(self, hook: Any) -> None:
        self.close = hook.remove


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("recipe", "options", "head"), CASES)
def test_the_same_boxes_as_ultralytics(
    recipe: str,
    options: dict[str, Any],
    head: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_AUTOINSTALL", "false")
    monkeypatch.chdir(tmp_path)
    torch = pytest.importorskip("torch")
    ultralytics = pytest.importorskip("ultralytics")
    torch.manual_seed(0)
    picture = _picture()
    kind = ultralytics.RTDETR if "rtdetr" in recipe else ultralytics.YOLO
    size = SIZE if kind is ultralytics.YOLO else 320
    model = kind(recipe)
    _sharpen(model, picture, torch)
    exported = model.export(
        format="onnx", imgsz=size, opset=17, simplify=False, verbose=False, **options
    )
    reader = kind(exported) if "rtdetr" in recipe else kind(exported, task="detect")
    theirs = reader.predict(picture, imgsz=size, conf=0.25, iou=0.65, verbose=False)[0].boxes

    detector = load_detector(exported, threads=1, nms_iou=0.65)
    (ours,) = detector.detect([picture], 0.25)
    assert detector.info.head == head
    assert len(theirs) > 0
    # Theirs may reach outside the picture; ours never do.
    boxes = geometry.clip(theirs.xyxy.numpy().astype(np.float32), 640, 360)
    shown = geometry.area(boxes) > 0
    assert len(ours) == int(shown.sum())
    apart = np.abs(ours.boxes[:, None] - boxes[shown][None]).max(axis=2)
    # Within a pixel; a drawn network has ties, of which the last of 300 may fall either way.
    assert (apart.min(axis=1) < 1).mean() > 0.98
    scores = np.sort(theirs.conf.numpy()[shown])[::-1]
    np.testing.assert_allclose(ours.scores, scores, atol=1e-4)
    classes = Counter(theirs.cls.numpy()[shown].astype(int).tolist())
    assert (Counter(ours.classes.tolist()) & classes).total() > 0.98 * len(ours)
