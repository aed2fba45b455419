from pathlib import Path

import pytest

from secondlook.shared.errors import InvalidModel
from secondlook.shared.zoo import MODELS, model_file, model_path


@pytest.mark.parametrize("name", MODELS)
def test_each_model_is_shipped_with_its_card_and_within_its_size(name: str) -> None:
    path = model_path(name)
    assert "Apache-2.0" in path.with_suffix(".md").read_text()
    limit_mb = 1.5 if name == "street_light" else 15
    assert path.stat().st_size <= limit_mb * 1e6


def test_a_reference_is_a_shipped_model_or_a_path() -> None:
    assert model_file("zoo:street_light") == model_path("street_light")
    assert model_file("a/b.onnx") == Path("a/b.onnx")
    assert model_file("~/b.onnx") == Path.home() / "b.onnx"


@pytest.mark.parametrize("reference", ["zoo:", "zoo:nobody", "zoo:../../secret", "zoo:__init__"])
def test_an_unknown_model_is_told_with_the_known_ones(reference: str) -> None:
    with pytest.raises(InvalidModel, match="street_light, street_heavy"):
        model_file(reference)
