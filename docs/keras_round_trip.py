"""Reads the configs that examples/write_configs prints with Keras itself and compares get_config() afterwards.

    build/bin/write_configs keras3 | KERAS_BACKEND=jax python docs/keras_round_trip.py keras
    build/bin/write_configs keras2 | python docs/keras_round_trip.py tf_keras

What convsmith wrote must come back with the same value. Keys that only Keras wrote must be what it says of an
argument that was not given: they are listed.
"""

import collections
import importlib
import json
import struct
import sys


def plain(value):
    """Tuples as lists, and objects without the keys that one generation adds around them."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    around = ("module", "registered_name", "build_config")
    return {key: plain(item) for key, item in value.items() if key not in around and item is not None}


def same(ours, keras):
    """Keras keeps the factors of regularizers in float32."""
    if isinstance(ours, float) and isinstance(keras, float):
        return struct.pack("f", ours) == struct.pack("f", keras)
    return ours == keras


def differences(ours, keras, path=""):
    if isinstance(ours, dict) and isinstance(keras, dict):
        for key, value in ours.items():
            if key not in keras:
                yield f"{path}{key}: Keras forgot it"
            else:
                yield from differences(value, keras[key], f"{path}{key}.")
    elif not same(ours, keras):
        yield f"{path[:-1]}: wrote {ours!r}, got {keras!r}"


def main():
    package = importlib.import_module(sys.argv[1])
    layers = wrong = 0
    added = collections.Counter()
    for line in sys.stdin:
        written = json.loads(line)
        layer = package.layers.deserialize(written)
        assert type(layer).__name__ == written["class_name"]
        ours, keras = plain(written["config"]), plain(layer.get_config())
        for difference in differences(ours, keras):
            wrong += 1
            print(f"{ours['name']}: {difference}")
        added.update(f"{key}={keras[key]!r}" for key in keras if key not in ours)
        layers += 1
    print(f"{package.__name__} {package.__version__}: {layers} layers, {wrong} differences.")
    for key, count in sorted(added.items()):
        print(f"  added by Keras, {count} times: {key}")
    return wrong != 0


sys.exit(main())
