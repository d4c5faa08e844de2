#!/usr/bin/env python3
"""Makes lengths.jsonl and lengths.f32 of the trained networks: Keras's outputs for parts of their inputs.

    pip install tensorflow-cpu keras
    tests/data/models/make_lengths.py

The networks' declared lengths are opened first (batch_shape [null, null, 1]); weights stay as they are.
"""
import json
import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import keras
import numpy as np

LENGTHS = {"ecg_denoiser": [40, 333, 1000], "inception_gunpoint": [61, 150, 400], "wavenet_clipper": [100, 1000, 4000]}


def open_lengths(model):
    config = json.loads(json.dumps(model.get_config()))
    for layer in config["layers"]:
        if layer["class_name"] == "InputLayer":
            layer["config"]["batch_shape"] = [None, None, 1]
        layer.pop("build_config", None)
    config.pop("build_input_shape", None)
    opened = type(model).from_config(config)
    opened.build([None, None, 1])
    opened.set_weights(model.get_weights())
    return opened


def main():
    for name, lengths in LENGTHS.items():
        folder = pathlib.Path(__file__).parent / name
        model = open_lengths(keras.saving.load_model(folder / "model.keras", compile=False))
        signal = np.fromfile(folder / "input.f32", np.float32)
        arrays, lines, offset = [], [], 0
        for length in lengths:
            x = signal[:length].reshape(1, length, 1)
            tensors = {}
            for role, value in (("input", x), ("output", model(x, training=False).numpy())):
                tensors[role] = {"offset": offset, "shape": list(value.shape)}
                arrays.append(value.ravel())
                offset += value.size
            lines.append(json.dumps({"source": f"keras-{keras.__version__}/tensorflow", "tensors": tensors}))
        np.concatenate(arrays).astype("<f4").tofile(folder / "lengths.f32")
        (folder / "lengths.jsonl").write_text("\n".join(lines) + "\n")


main()
