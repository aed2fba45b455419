"""The same boxes as ultralytics itself, from networks that ultralytics exported.

The networks come from its own YAML, with drawn weights: nothing is downloaded.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.ultralytics_networks import SIZE, picture_of_blobs, sharpen

from secondlook.shared import geometry
from secondlook.shared.detect import load_detector

CASES = [
    pytest.param("yolov8n.yaml", {}, "yolov8", id="yolov8"),
    pytest.param("yolo11n.yaml", {}, "yolov8", id="yolo11"),
    pytest.param("yolo26n.yaml", {}, "yolov8", id="yolo26"),
    pytest.param("yolo26n.yaml", {"nms": False}, "end2end", id="yolo26-end-to-end"),
    pytest.param("yolov10n.yaml", {"nms": False}, "end2end", id="yolov10-end-to-end"),
    pytest.param("yolov8-rtdetr.yaml", {}, "rtdetr_topk", id="rtdetr"),
]


@pytest.mark.heavy
@pytest.mark.ultralytics
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
    picture = picture_of_blobs()
    kind = ultralytics.RTDETR if "rtdetr" in recipe else ultralytics.YOLO
    size = SIZE if kind is ultralytics.YOLO else 320
    model = kind(recipe)
    sharpen(model, picture, torch)
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
