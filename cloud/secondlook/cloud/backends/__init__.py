"""What runs networks: ONNX Runtime, torch, ultralytics, and other inference servers."""
