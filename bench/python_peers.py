#!/usr/bin/env python3
"""Times ONNX Runtime, OpenVINO and TensorFlow beside convsmith on the layers of bench/shapes.csv.

    pip install onnx onnxruntime openvino tensorflow-cpu
    bench/python_peers.py --json python.json --convsmith build/bin/convsmith
    build/bin/peers_bench --merge python.json --html peers.html

Libraries that cannot be imported are left out, so that each may have an environment of its own; the files of all may
be merged. One thread. In turns with them runs `convsmith compare` on the same layer and layout, so that the ratios are
of one run. Each library's result is held against float64 arithmetic in numpy.
"""
import argparse
import csv
import importlib
import json
import os
import subprocess
import sys
import time

for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

TOLERANCE = 1e-4  # of the largest value
FOLDER = os.path.dirname(os.path.abspath(__file__))


class Layer:
    """A row of the table with every size resolved, its arrays, and its result at a few output steps."""

    def __init__(self, row):
        for key in ("batch", "steps", "in_channels", "filters", "kernel_size", "strides", "dilation_rate", "groups"):
            setattr(self, key, int(row[key]))
        self.name, self.padding = row["name"], row["padding"]
        self.transposed = row["op"] == "conv1d_transpose"
        self.resolve_padding()
        rng = np.random.default_rng(0)
        draw = lambda *shape: rng.uniform(-1, 1, shape).astype(np.float32)
        self.x = draw(self.batch, self.steps, self.in_channels)
        shape = (self.filters, self.in_channels) if self.transposed else (self.in_channels // self.groups, self.filters)
        self.kernel = draw(self.kernel_size, *shape)
        self.bias = draw(self.filters)

    def resolve_padding(self):
        """Zero steps left and right; of a transposed layer cropped ones (negative: added)."""
        span = (self.kernel_size - 1) * self.dilation_rate + 1
        stride, steps = self.strides, self.steps
        self.left = self.right = 0
        if self.padding.startswith("explicit"):
            self.left, self.right = (int(word) for word in self.padding.split(":")[1:])
        elif self.padding == "causal":
            self.left = span - 1
        elif self.padding == "same" and self.transposed:
            crop = span - stride
            self.left = max(crop, 0) // 2
            self.right = crop - self.left
        elif self.padding == "same":
            pad = max((-(-steps // stride) - 1) * stride + span - steps, 0)
            self.left = pad // 2
            self.right = pad - self.left
        whole = (steps - 1) * stride + span
        if self.transposed:
            self.out_steps = whole - self.left - self.right
        else:
            self.out_steps = (steps + self.left + self.right - span) // stride + 1

    def text(self, layout):
        """As convsmith's program takes it, with --rules any."""
        words = [f"{self.filters}, {self.kernel_size}, strides={self.strides}, dilation_rate={self.dilation_rate}"]
        if self.padding.startswith("explicit"):
            words.append(f"padding=({self.left}, {self.right})")
        else:
            words.append(f"padding='{self.padding}'")
        if not self.transposed:
            words.append(f"groups={self.groups}")
        shape = [self.steps, self.in_channels]
        if layout == "channels_first":
            words.append("data_format='channels_first'")
            shape.reverse()
        words.append(f"input_shape=({shape[0]}, {shape[1]})")
        return f"Conv1D{'Transpose' if self.transposed else ''}({', '.join(words)})"

    def expected(self, step):
        """Output step `step` of the first sample, in double precision."""
        result = self.bias.astype(np.float64)
        for tap in range(self.kernel_size):
            at = step + self.left - tap if self.transposed else step * self.strides + tap * self.dilation_rate - self.left
            if self.transposed:
                at, rest = divmod(at, self.strides)
                if rest:
                    continue
            if not 0 <= at < self.steps:
                continue
            x = self.x[0, at].astype(np.float64)
            kernel = self.kernel[tap].astype(np.float64)
            if self.transposed:
                result += kernel @ x
            else:
                x = x.reshape(self.groups, -1)
                kernel = kernel.reshape(x.shape[1], self.groups, -1)
                result += np.einsum("gc,cgf->gf", x, kernel).ravel()
        return result

    def difference(self, y):
        """Of a result (batch, steps, filters): the largest, of the largest value; at a dozen steps."""
        if y.shape != (self.batch, self.out_steps, self.filters):
            return 1.0
        steps = sorted({round(i * (self.out_steps - 1) / 11) for i in range(12)})
        expected = np.stack([self.expected(step) for step in steps])
        return float(np.abs(y[0, steps] - expected).max() / np.abs(expected).max())


def first(x):
    return np.ascontiguousarray(np.moveaxis(x, -1, -2))


def onnx_weights(layer):
    """Both libraries want (filters, channels, taps), of a transposed layer (channels, filters, taps)."""
    return np.ascontiguousarray(layer.kernel.transpose(2, 1, 0))


def make_onnxruntime(layer):
    import onnx
    import onnxruntime

    attributes = {"strides": [layer.strides], "dilations": [layer.dilation_rate], "group": layer.groups,
                  "pads": [layer.left, max(layer.right, 0)]}
    if layer.right < 0:
        attributes["output_padding"] = [-layer.right]
    node = onnx.helper.make_node("ConvTranspose" if layer.transposed else "Conv", ["x", "w", "b"], ["y"], **attributes)
    tensor = lambda name, channels, steps: onnx.helper.make_tensor_value_info(
        name, onnx.TensorProto.FLOAT, [layer.batch, channels, steps])
    graph = onnx.helper.make_graph(
        [node], "layer", [tensor("x", layer.in_channels, layer.steps)], [tensor("y", layer.filters, layer.out_steps)],
        [onnx.numpy_helper.from_array(onnx_weights(layer), "w"), onnx.numpy_helper.from_array(layer.bias, "b")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    # Arrays bound once: what is timed has no copies.
    binding = session.io_binding()
    y = onnxruntime.OrtValue.ortvalue_from_shape_and_type([layer.batch, layer.filters, layer.out_steps], np.float32)
    binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(first(layer.x)))
    binding.bind_ortvalue_output("y", y)
    return lambda: session.run_with_iobinding(binding), lambda: first(y.numpy())


def make_openvino(layer):
    import openvino
    from openvino import opset13 as ops

    x = ops.parameter([layer.batch, layer.in_channels, layer.steps], np.float32)
    weights = onnx_weights(layer)
    strides, dilations = [layer.strides], [layer.dilation_rate]
    if layer.transposed:
        y = ops.convolution_backprop_data(x, ops.constant(weights), strides, None, [layer.left], [max(layer.right, 0)],
                                          dilations, output_padding=[max(-layer.right, 0)])
    elif layer.groups > 1:
        weights = weights.reshape(layer.groups, layer.filters // layer.groups, *weights.shape[1:])
        y = ops.group_convolution(x, ops.constant(weights), strides, [layer.left], [layer.right], dilations)
    else:
        y = ops.convolution(x, ops.constant(weights), strides, [layer.left], [layer.right], dilations)
    y = ops.add(y, ops.constant(layer.bias.reshape(1, -1, 1)))
    compiled = openvino.Core().compile_model(
        openvino.Model([y], [x]), "CPU",
        {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(first(layer.x)))
    return request.infer, lambda: first(request.get_output_tensor().data)


def make_tensorflow(layer):
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    kernel, bias, x = tf.constant(layer.kernel), tf.constant(layer.bias), tf.constant(layer.x)
    whole = (layer.steps - 1) * layer.strides + layer.kernel_size

    def run(value):
        if layer.transposed:
            y = tf.nn.conv1d_transpose(value, kernel, [layer.batch, max(whole, layer.left + layer.out_steps), layer.filters],
                                       layer.strides, "VALID")
            y = y[:, layer.left:layer.left + layer.out_steps]
        else:
            if layer.left or layer.right:
                value = tf.pad(value, [[0, 0], [layer.left, layer.right], [0, 0]])
            if 1 < layer.groups == layer.in_channels == layer.filters:  # as Keras computes DepthwiseConv1D
                y = tf.nn.depthwise_conv2d(value[:, None], tf.reshape(kernel, [1, layer.kernel_size, -1, 1]),
                                           [1, layer.strides, layer.strides, 1], "VALID",
                                           dilations=[1, layer.dilation_rate])[:, 0]
            else:
                y = tf.nn.conv1d(value, kernel, layer.strides, "VALID", dilations=layer.dilation_rate)
        return tf.nn.bias_add(y, bias)

    graph = tf.function(run)
    return lambda: graph(x), lambda: graph(x).numpy()


LIBRARIES = {  # by module: how it is called, its layout, how a call is made, what else that needs
    "onnxruntime": ("ONNX Runtime", "channels_first", make_onnxruntime, ["onnx"]),
    "openvino": ("OpenVINO", "channels_first", make_openvino, []),
    "tensorflow": ("TensorFlow", "channels_last", make_tensorflow, []),
}


def microseconds(call, seconds):
    """Of calls for about `seconds`, at least two: the shortest and the median."""
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 2 or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) * 1e6)
    return min(times), float(np.median(times))


def convsmith_us(program, layer, layout):
    command = [program, "compare", layer.text(layout), "--rules", "any", "--backend", "xbyak", "--batch",
               str(layer.batch), "--json"]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["rows"]
    best = min((row for row in rows if row["backend"] == "xbyak"), key=lambda row: row["min_us"])
    return best["min_us"], best["p50_us"]


def start(library, layer):
    """The library's entry for peers_bench and its call; without a call where there is none."""
    name, layout, make, _ = LIBRARIES[library]
    entry = {"name": name, "library": name, "layout": layout, "min_us": 0.0}
    try:
        begin = time.perf_counter()
        call, result = make(layer)
        entry["create_us"] = (time.perf_counter() - begin) * 1e6
        call()
        entry["difference"] = layer.difference(result())
    except Exception as why:  # libraries refuse in their own ways; the reason goes into the table
        entry["problem"] = str(why).strip().splitlines()[0][:200] if str(why).strip() else type(why).__name__
        return entry, None
    if entry["difference"] <= TOLERANCE:
        return entry, call
    entry["problem"] = f"its result differs by {entry['difference']:.2g} of the largest value"
    return entry, None


def measure(arguments, libraries, layer):
    calls = [start(library, layer) for library in libraries]
    layouts = sorted({entry["layout"] for entry, call in calls if call})
    ours = {layout: {"name": "convsmith", "library": "convsmith", "layout": layout} for layout in layouts}

    def keep(entry, measured):
        entry["min_us"] = min(entry["min_us"] or measured[0], measured[0])
        entry["p50_us"] = min(entry.get("p50_us", measured[1]), measured[1])

    for _ in range(arguments.rounds):
        for layout, entry in ours.items():
            entry.setdefault("min_us", 0.0)
            keep(entry, convsmith_us(arguments.convsmith, layer, layout))
        for entry, call in calls:
            if call:
                call()
                keep(entry, microseconds(call, arguments.seconds))
    return {"name": layer.name, "entries": [*ours.values(), *(entry for entry, _ in calls)]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", required=True, help="file for peers_bench --merge")
    parser.add_argument("--filter", default="", help="only layers with this in their name")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each library, layer and round (default 0.2)")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--convsmith", default="build/bin/convsmith", help="the program")
    parser.add_argument("--shapes", default=os.path.join(FOLDER, "shapes.csv"))
    arguments = parser.parse_args()
    modules = {}
    for library, (name, _, _, needed) in LIBRARIES.items():
        try:
            modules[library] = [importlib.import_module(module) for module in [library, *needed]][0]
        except ImportError as why:
            print(f"{name} is left out: {why}", file=sys.stderr)
    with open(arguments.shapes, newline="") as file:
        shapes = [row for row in csv.DictReader(file) if arguments.filter in row["name"]]
    rows = []
    for i, row in enumerate(shapes):
        if sys.stderr.isatty():
            print(f"\r{i + 1} of {len(shapes)} layers: {row['name']:40}", end="", file=sys.stderr)
        rows.append(measure(arguments, modules, Layer(row)))
    if sys.stderr.isatty():
        print(file=sys.stderr)
    versions = [f"{LIBRARIES[name][0]} {module.__version__}" for name, module in modules.items()]
    with open(arguments.json, "w") as file:
        json.dump({"versions": versions, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
