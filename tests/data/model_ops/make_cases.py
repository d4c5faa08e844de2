#!/usr/bin/env python3
"""Makes cases.jsonl, cases.f32 and the .h5 and .keras files beside them: small models of real Keras.

    pip install tensorflow-cpu keras tf_keras h5py
    tests/data/model_ops/make_cases.py

A line has a model as JSON or the names of its files, its input and Keras's output; or what the error must say.
"""
import json
import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import keras
import numpy as np
import tf_keras
from keras import Input, Model, Sequential, ops
from keras import layers as L

HERE = pathlib.Path(__file__).parent
random = np.random.default_rng(7)
arrays, lines, offset = [], [], 0


def tensor(value):
    global offset
    value = np.asarray(value, "<f4")
    arrays.append(value.ravel())
    offset += value.size
    return {"offset": offset - value.size, "shape": list(value.shape)}


def line(name, model, files=None, shape=None, batch=3, error=None):
    case = {"name": name, "files": files} if files else {"name": name, "json": json.loads(model.to_json())}
    if error:
        case["error"] = error
    else:
        x = random.normal(size=(batch, *(shape or model.input_shape[1:]))).astype("float32")
        case["input"] = tensor(x)
        case["output"] = tensor(np.asarray(model(x, training=False)))
    lines.append(json.dumps(case))


def op(name, function, shape=(6, 4), run=None, **more):
    x = Input(shape)
    line(name, Model(x, function(x)), shape=run, **more)


def fill(model, files):
    """Weights of many values, positive as variances must be, then the files."""
    model.set_weights([random.uniform(0.3, 1.5, w.shape).astype("float32") for w in model.get_weights()])
    for file in files:
        (model.save_weights if "weights" in file else model.save)(HERE / file)
    return model


def operators():
    per_channel = np.float32([0.5, -1.5, 2.5, 3.0])
    per_step = np.float32([[1], [2], [-3], [0.5], [0.25], [7]])
    both = np.arange(24, dtype="float32").reshape(6, 4) - 9
    kept = L.GlobalMaxPooling1D(keepdims=True)
    op("add_kept", lambda x: x + kept(x))
    op("subtract_from_kept", lambda x: kept(x) - x)
    op("divide", lambda x: x / (ops.sigmoid(x) + 1.0))
    op("maximum_minimum", lambda x: ops.maximum(x, ops.tanh(x) * 2) + ops.minimum(x, ops.mean(x, axis=1, keepdims=True)))
    op("add_open", lambda x: x + ops.relu(x), (None, 4), (9, 4))
    op("times_number", lambda x: x * 2.5)
    op("number_minus", lambda x: 1 - x)
    op("minus_number", lambda x: x - 0.3)
    op("by_number", lambda x: x / 3)
    op("negative", lambda x: -x)
    op("add_channels", lambda x: ops.add(per_channel, x))
    op("channels_minus_open", lambda x: ops.subtract(per_channel, x), (None, 4), (5, 4))
    op("by_channels", lambda x: x / per_channel)
    op("times_steps", lambda x: x * per_step)
    op("add_steps", lambda x: x + per_step)
    op("both_minus", lambda x: ops.subtract(both, x))
    op("times_sample", lambda x: x * both[None])
    op("maximum_number", lambda x: ops.maximum(x, 0.25))
    op("minimum_channels", lambda x: ops.minimum(per_channel * 0.2, x))
    op("maximum_both", lambda x: ops.maximum(x, both * 0.1))
    op("reshape", lambda x: ops.reshape(x, (-1, 3, 8)))
    op("reshape_flat", lambda x: ops.reshape(x, (-1, 24)))
    op("transpose", lambda x: ops.transpose(x, (0, 2, 1)))
    op("average", lambda x: ops.average(x, axis=1))
    op("average_last", lambda x: ops.average(x, axis=-1))
    op("mean_kept", lambda x: x - ops.mean(x, axis=-2, keepdims=True), (None, 4), (7, 4))
    op("mean_of_all", lambda x: x - ops.mean(x, axis=(1, 2), keepdims=True), (None, 4), (7, 4))
    op("max_open", lambda x: ops.max(x, axis=1), (None, 4), (11, 4))
    op("max_last", lambda x: ops.max(x, axis=2, keepdims=True))
    op("concatenate", lambda x: ops.concatenate([x, -x], axis=1))
    op("pools", lambda x: ops.max_pool(x, 2) + ops.average_pool(x, 2, padding="same"))
    op("pad", lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 0))))
    op("pad_last", lambda x: ops.pad(ops.reshape(x, (-1, 3, 8)), ((0, 0), (0, 0), (2, 1))))
    op("functions", lambda x: ops.elu(x, alpha=0.3) + ops.leaky_relu(x) * ops.gelu(x) - ops.hard_sigmoid(x) / (2 + ops.exp(x)))
    op("relu_capped", lambda x: keras.activations.relu(x, max_value=0.5, negative_slope=0.1))
    op("softmax_steps", lambda x: ops.softmax(x, axis=1))
    op("softmax_layer_both", lambda x: L.Softmax(axis=[1, 2])(x))
    op("softmax_negative", lambda x: L.Softmax(axis=(-1, -2))(x))
    op("softmax_last_two", lambda x: L.Softmax(axis=[2, 3])(x), (5, 3, 2))
    op("softmax_first_two", lambda x: L.Softmax(axis=[1, 2])(x), (5, 3, 2))
    op("softmax_activation", lambda x: L.Activation(L.Softmax(axis=[1, 2]))(x))
    # What is not computed.
    op("add_batch", lambda x: x + np.ones((3, 6, 4), "float32"), error=["keras.ops.add", "batch axis"])
    op("reshape_batch", lambda x: ops.reshape(x, (-1, 12)), error=["keras.ops.reshape", "The shape (-1, 12) must keep samples apart: an input of shape (None, 6, 4) has 24 values"])
    op("reshape_fixed", lambda x: ops.reshape(x, (3, -1)), error=["keras.ops.reshape", "newshape", "batch axis"])
    op("average_all", lambda x: ops.average(x), error=["keras.ops.average", "`axis` None"])
    op("average_batch", lambda x: ops.average(x, axis=0), error=["keras.ops.average", "is the batch axis"])
    op("average_weighted", lambda x: ops.average(x, axis=1, weights=per_step[:, 0]), error=["keras.ops.average", "weights"])
    op("transpose_batch", lambda x: ops.transpose(x), error=["keras.ops.transpose", "batch axis"])
    op("softmax_all", lambda x: ops.softmax(x, axis=None), error=["keras.ops.softmax", "batch"])
    op("dot", lambda x: ops.dot(x, x[:, 0]), error=["keras.ops.dot", "keras.ops.get_item"])


def meetings():
    """Axes line up from the right, so that the batch axis of one tensor meets an axis of the other: with so many samples."""
    pooled = L.GlobalMaxPooling1D()
    short = L.MaxPooling1D(2)

    def meet(name, function, batch, shape=(6, 4), run=None):
        for suffix, samples in ("", batch), ("_one", 1):
            op(name + suffix, function, shape, run, batch=samples)

    meet("add_pooled", lambda x: x + pooled(x), 4, (4, 4))
    meet("pooled_minus", lambda x: pooled(x) - x, 6)
    meet("maximum_pooled", lambda x: ops.maximum(x, pooled(x)), 4, (4, 4))
    meet("pooled_minimum", lambda x: ops.minimum(-pooled(x), x), 6)
    meet("multiply_pooled", lambda x: x * pooled(x), 5, (None, 4), (5, 4))
    meet("divide_by_pooled", lambda x: x / ops.exp(pooled(x)), 6)
    meet("pooled_by", lambda x: pooled(x) / ops.exp(x), 6)
    meet("pooled_twice", lambda x: ops.relu(ops.tanh(x) + pooled(x)) * (x - pooled(-x)), 5, (None, 4), (5, 4))
    meet("shorter", lambda x: short(x) * pooled(x), 3, (None, 4), (7, 4))
    meet("stretched_last", lambda x: ops.mean(x, axis=2, keepdims=True) - pooled(x), 6)
    meet("stretched_small", lambda x: x - ops.mean(pooled(x), axis=[1], keepdims=True), 6)
    meet("turned", lambda x: ops.transpose(x, (0, 2, 1)) + ops.max(x, axis=2), 4)
    meet("first_of_three", lambda x: L.Reshape((6, 2, 2))(x) + L.Reshape((2, 2))(pooled(x)), 6)
    meet("second_of_three", lambda x: L.Reshape((6, 2, 2))(x) - ops.max(L.Reshape((12, 2))(x), axis=1), 2)
    meet("wide_of_open", lambda x: L.Reshape((-1, 2, 2))(x) + L.Reshape((2, 2))(pooled(x)), 5, (None, 4), (5, 4))
    meet("minus_mean_of_all", lambda x: x - ops.mean(x, axis=(1, 2)), 4)
    meet("number_times_pooled", lambda x: ops.max(x, axis=(1, 2)) * pooled(x), 4)
    op("max_of_all", lambda x: ops.relu(ops.max(x, axis=(1, 2)) - ops.mean(x, axis=[1, 2])), (None, 4), (7, 4))
    # Batches but 1 have no place, or would make a second batch axis.
    op("two_meetings", lambda x: x + pooled(short(x) + pooled(x)), batch=1)
    op("meets_one", lambda x: L.GlobalMaxPooling1D(keepdims=True)(x) - pooled(-x), batch=1)


def scaling():
    op("rescaling", lambda x: L.Rescaling(0.0078, 0.0)(x))
    op("rescaling_offset", lambda x: L.Rescaling(1 / 127.5, offset=-1)(x), (None, 4), (5, 4))
    op("rescaling_list", lambda x: L.Rescaling([1.0, 2.0, -3.0, 0.5], offset=[0.0, 1.0, 2.0, 3.0])(x))
    op("rescaling_array", lambda x: L.Rescaling(np.float32([1, 2, 3, 4]), offset=0.5)(x))
    for invert in (False, True):
        op(f"normalization_{invert}", lambda x: L.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 4, 0.25, 0], invert=invert)(x))
        op(f"normalization_number_{invert}", lambda x: L.Normalization(axis=None, mean=0.7, variance=2.0, invert=invert)(x))
        op(f"normalization_steps_{invert}", lambda x: L.Normalization(axis=1, mean=list(range(6)), variance=[0.5] * 6, invert=invert)(x))
        op(f"normalization_both_{invert}", lambda x: L.Normalization(axis=(1, 2), mean=np.arange(24.0).reshape(6, 4), variance=np.ones((6, 4)) * 2, invert=invert)(x))
    quiet = [L.GaussianNoise(0.5), L.GaussianDropout(0.5), L.AlphaDropout(0.5), L.SpatialDropout1D(0.5), L.Dropout(0.5),
             L.ActivityRegularization(0.1), L.Identity()]
    op("quiet", lambda x: Sequential(quiet)(x) * 2.0)
    augment = [L.RandomFlip(), L.RandomBrightness(0.5), L.RandomZoom(0.2), L.MixUp(), L.SpatialDropout2D(0.5)]
    op("augmentation", lambda x: L.Reshape((12, 2))(Sequential(augment)(x)), (6, 2, 2))
    for padding in ("valid", "same", "causal"):
        x = Input((None, 3))
        y = L.Conv1D(2, 3, padding=padding)(L.Normalization()(L.Rescaling(0.25, offset=-1.0)(x)))
        y = L.Rescaling([2.0, 3.0], offset=[0.5, -0.5])(y)
        files = [f"scaled_{padding}.keras", f"scaled_{padding}.h5"]
        model = Model(x, y)
        model.set_weights([random.uniform(0.3, 1.5, w.shape).astype(w.dtype) for w in model.get_weights()])
        model.layers[2].finalize_state()
        for file in files:
            model.save(HERE / file)
            line(file, model, [file], (9, 3))
    x = tf_keras.Input((9, 3))
    model = tf_keras.Model(x, tf_keras.layers.Conv1D(2, 3, padding="same")(tf_keras.layers.Normalization()(tf_keras.layers.Rescaling(0.5)(x))))
    model.set_weights([random.uniform(0.3, 1.5, w.shape).astype(w.dtype) for w in model.get_weights()])
    model.layers[2].finalize_state()
    model.save(HERE / "scaled_k2.h5")
    line("scaled_k2.h5", model, ["scaled_k2.h5"])


def weights_by_name():
    def chain(k, shape=(None, 4)):
        return k.Sequential([k.Input(shape), k.layers.BatchNormalization(), k.layers.ReLU(), k.layers.BatchNormalization()])

    def around(k, inner, shape=(None, 4)):
        x = k.Input(shape)
        return k.Model(x, inner(x))

    # The last, the first, and every other layer of a nested model frozen, of both generations.
    for k, tag in ((keras, "k3"), (tf_keras, "k2")):
        inner = chain(k)
        model = around(k, inner)
        inner.trainable = False
        inner.layers[-1].trainable = True
        files = [f"last_free_{tag}.h5"]
        line(files[0], fill(model, files), files, (5, 4))

        x = k.Input((7, 4))
        y = k.layers.SeparableConv1D(4, 3, name="sep")(k.layers.TimeDistributed(k.layers.Dense(4))(x))
        deep = k.Model(x, k.layers.BatchNormalization()(k.layers.DepthwiseConv1D(3)(k.layers.BatchNormalization()(y))), name="deep")
        x = k.Input((7, 4))
        middle = k.Model(x, k.layers.PReLU(shared_axes=[1])(k.layers.BatchNormalization()(deep(x))), name="middle")
        model = around(k, middle, (7, 4))
        middle.trainable = False
        deep.trainable = True
        deep.layers[3].trainable = False
        files = [f"deep_{tag}.h5"]
        line(files[0], fill(model, files), files, (7, 4))

    # Two nested models with layers of one name.
    twins = Sequential([Input((6, 4)), Sequential([Input((6, 4)), L.Dense(4, name="d"), L.BatchNormalization(name="n")], name="one"),
                        Sequential([Input((6, 4)), L.Dense(4, name="d"), L.BatchNormalization(name="n")], name="two")], name="twins")
    model = around(keras, twins, (6, 4))
    twins.layers[0].trainable = False
    line("twins.h5", fill(model, ["twins.h5"]), ["twins.h5"])

    # Frozen when the weights were written, not when the JSON was; and names that are other layers'.
    inner = chain(tf_keras)
    model = around(tf_keras, inner)
    (HERE / "thawed.json").write_text(model.to_json())
    inner.trainable = False
    inner.layers[0].trainable = True
    files = ["thawed.json", "thawed_weights.h5"]
    line("thawed", fill(model, files[1:]), files, (5, 4))
    other = around(tf_keras, chain(tf_keras))
    (HERE / "renamed.json").write_text(other.to_json())
    files = ["renamed.json", "renamed_weights.h5"]
    model = around(tf_keras, chain(tf_keras))
    line("renamed", fill(model, files[1:]), files, (5, 4))


operators()
scaling()
weights_by_name()
meetings()
np.concatenate(arrays).astype("<f4").tofile(HERE / "cases.f32")
(HERE / "cases.jsonl").write_text("\n".join(lines) + "\n")
