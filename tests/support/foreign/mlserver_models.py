"""Models for MLServer; imported by it, in an environment of its own, where nothing of ours is."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceResponse


class Numbers(MLModel):
    """``y = x + 1000``. Refuses a 13, and fails at a -13."""

    async def predict(self, payload):
        x = NumpyCodec.decode_input(payload.inputs[0])
        if (x == 13).any():
            raise InferenceError("an unlucky number")
        if (x == -13).any():
            raise RuntimeError("a hidden fault")
        y = NumpyCodec.encode_output("y", x + np.float32(1000))
        return InferenceResponse(
            id=payload.id, model_name=self.name, model_version=self.version, outputs=[y]
        )


class Same(MLModel):
    """Every input comes back, as it came, under its name in capitals."""

    async def predict(self, payload):
        outputs = [
            {
                "name": given.name.upper(),
                "datatype": given.datatype,
                "shape": given.shape,
                "data": given.data,
            }
            for given in payload.inputs
        ]
        return InferenceResponse(
            id=payload.id, model_name=self.name, model_version=self.version, outputs=outputs
        )
