"""The attribute network: its ONNX file, names, graph, and what it sees in photos."""
