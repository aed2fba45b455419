"""The Open Inference Protocol (KServe v2) over gRPC.

Converters are apart from the servicer: `reading` and `writing` for tensors, `wishes` for
parameters, `telling` for what is said about models. `detection` is every detector's other face,
from picture to boxes.
"""

from secondlook.cloud.rpc.inference.servicer import InferenceServicer

__all__ = ["InferenceServicer"]
