#!/usr/bin/env python3
"""Time per call of a whole Keras model: convsmith beside Keras on TensorFlow and ONNX Runtime, in one run.

    pip install tensorflow-cpu keras tf2onnx onnxruntime
    bench/model_peers.py examples/ecg/model.keras --steps 1024 8192 --convsmith build/bin/convsmith

All on one thread. Each time is the smallest of many calls with the same random input; the table gives microseconds
and how many times slower than convsmith each peer is. --json prints the same as one object.
"""
import argparse
import json
import os
import subprocess
import tempfile
import time

for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import onnxruntime
import tensorflow as tf


def smallest_us(call, seconds):
    """Microseconds of the fastest of the calls that fit into `seconds`, at least five."""
    for _ in range(3):
        call()
    best = float("inf")
    count = 0
    end = time.perf_counter() + seconds
    while count < 5 or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begin)
        count += 1
    return best * 1e6


def convsmith_us(program, model, batch, steps):
    """The fastest back end that convsmith itself would pick, as `compare` measures it."""
    command = [program, "compare", model, "--batch", str(batch), "--steps", str(steps), "--json"]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["rows"]
    return min(row["min_us"] for row in rows if row["backend"] == "xbyak")


def onnx_session(model, folder):
    path = os.path.join(folder, "model.onnx")
    model(np.zeros([1, 64, *model.input_shape[2:]], np.float32))  # export wants a model that was called
    model.export(path, format="onnx", verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def measure(arguments, model, session, steps):
    shape = [arguments.batch, steps, *model.input_shape[2:]]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    tensor = tf.constant(x)
    graph = tf.function(lambda value: model(value, training=False))
    compiled = tf.function(lambda value: model(value, training=False), jit_compile=True)
    name = session.get_inputs()[0].name
    difference = np.abs(session.run(None, {name: x})[0] - graph(tensor).numpy()).max()
    assert difference < 1e-4, f"the exported ONNX model differs by {difference}"
    seconds = arguments.seconds
    return {
        "steps": steps,
        "convsmith": convsmith_us(arguments.convsmith, arguments.model, arguments.batch, steps),
        "onnxruntime": smallest_us(lambda: session.run(None, {name: x}), seconds),
        "tensorflow graph": smallest_us(lambda: graph(tensor), seconds),
        "tensorflow XLA": smallest_us(lambda: compiled(tensor), seconds),
        "keras predict": smallest_us(lambda: model.predict(x, verbose=0), seconds),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a .keras file with one input of any length")
    parser.add_argument("--steps", type=int, nargs="+", default=[1024], help="input steps (default 1024)")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each peer and length (default 2)")
    parser.add_argument("--convsmith", default="build/bin/convsmith", help="the program")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = keras.saving.load_model(arguments.model, compile=False)
    with tempfile.TemporaryDirectory() as folder:
        session = onnx_session(model, folder)
        rows = [measure(arguments, model, session, steps) for steps in arguments.steps]
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__, "onnxruntime": onnxruntime.__version__}
    if arguments.json:
        print(json.dumps({"model": arguments.model, "batch": arguments.batch, "versions": versions, "rows": rows}))
        return
    print(f"{arguments.model}, batch {arguments.batch}, one thread; " +
          ", ".join(f"{name} {version}" for name, version in versions.items()))
    for row in rows:
        print(f"{row['steps']} steps")
        for peer, us in row.items():
            if peer != "steps":
                print(f"  {peer:18} {us:10.1f} us {us / row['convsmith']:8.2f} x")


if __name__ == "__main__":
    main()
