"""ONNX models are predicted by onnxruntime; what their files name stays in their directory."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

import registry
from registry.exceptions import InvalidModelError, InvalidParameterError, InvalidTypeError

FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 5.0]})


def doubling() -> onnx.ModelProto:
    """Return a model of one input with two columns."""
    weights = numpy_helper.from_array(np.array([2, 2], dtype=np.float32), "two")
    return graph([("x", [None, 2])], [helper.make_node("Mul", ["x", "two"], ["y"])], [weights], [None, 2])


def adding() -> onnx.ModelProto:
    """Return a model of two inputs."""
    return graph([("a", [None]), ("b", [None])], [helper.make_node("Add", ["a", "b"], ["y"])], [], [None])


def graph(inputs: list[Any], nodes: list[Any], weights: list[Any], shape: list[Any]) -> onnx.ModelProto:
    taken = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in inputs]
    made = [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)]
    return helper.make_model(
        helper.make_graph(nodes, "g", taken, made, weights), opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )


def edit(**entries: Any) -> None:
    file = Path("saved", "MLmodel")
    content = yaml.safe_load(file.read_text())
    content["flavors"]["onnx"].update(entries)
    file.write_text(yaml.safe_dump(content))


def test_data_of_every_form_are_predicted_as_mlflow_predicts_them() -> None:
    registry.onnx.save_model(doubling(), "one", input_example=FRAME)
    registry.onnx.save_model(adding(), "two")
    one, two = registry.pyfunc.load_model("one"), registry.pyfunc.load_model("two")

    assert one.predict(FRAME).to_dict("list") == {"y": [2.0, 6.0, 4.0, 10.0]}
    assert two.predict(FRAME).to_dict("list") == {"y": [4.0, 7.0]}
    assert two.predict({"a": np.array([1.5]), "b": np.array([2.0])})["y"].tolist() == [3.5]
    plain = registry.pyfunc.load_model("one")._predictor
    assert plain.predict(FRAME.to_numpy())["y"].tolist() == [[2.0, 6.0], [4.0, 10.0]]
    with pytest.raises(InvalidParameterError, match="has the inputs a, b"):
        two.predict(np.ones(2))
    with pytest.raises(InvalidTypeError, match="got list"):
        plain.predict([1.0])


def test_the_object_that_was_given_keeps_its_tensors() -> None:
    model = doubling()
    registry.onnx.save_model(model, "saved", size_threshold=0)

    assert sorted(path.suffix for path in Path("saved").iterdir() if path.suffix not in (".txt", ".yaml")) != [
        "",
        ".onnx",
    ]
    assert model == doubling()
    assert numpy_helper.to_array(registry.onnx.load_model("saved").graph.initializer[0]).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "nothing", ""])
def test_tensors_outside_the_directory_are_not_read(location: str) -> None:
    Path("secret").write_bytes(b"\0" * 8)
    registry.onnx.save_model(doubling(), "saved")
    model = doubling()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    Path("saved", "model.onnx").write_bytes(model.SerializeToString())

    for load in (registry.onnx.load_model, registry.pyfunc.load_model):
        with pytest.raises(InvalidModelError):
            load("saved")


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("text", {}, "Expected an onnx.ModelProto, got str"),
        (onnx.ModelProto(), {}, "could not be saved"),
        (doubling(), {"onnx_session_options": {"execution_mode": "fast"}}, "should be one of sequential, parallel"),
        (doubling(), {"onnx_session_options": {"intra_op_num_threads": "2"}}, "should be a number"),
    ],
)
def test_what_cannot_be_loaded_again_is_not_saved(model: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        registry.onnx.save_model(model, "saved", **options)
    assert not Path("saved").exists()


def test_the_options_of_a_session_are_kept() -> None:
    settings = {"intra_op_num_threads": 1, "execution_mode": "parallel", "graph_optimization_level": 1}
    registry.onnx.save_model(doubling(), "saved", onnx_session_options=settings)

    served = registry.pyfunc.load_model("saved")

    options = served.get_raw_model().get_session_options()
    assert (options.intra_op_num_threads, int(options.graph_optimization_level)) == (1, 1)
    served.limit_threads(2)
    assert served.get_raw_model().get_session_options().intra_op_num_threads == 2
    assert served.predict(FRAME)["y"].tolist() == [2.0, 6.0, 4.0, 10.0]


def test_options_that_could_load_a_library_need_consent(caplog: pytest.LogCaptureFixture) -> None:
    registry.onnx.save_model(
        doubling(),
        "saved",
        onnx_execution_providers=[("CPUExecutionProvider", {"use_arena": "1"}), "ElsewhereExecutionProvider"],
        onnx_session_options={"extra_session_config": {"session.disable_prepacking": "1"}},
    )
    with caplog.at_level(logging.WARNING):
        served = registry.pyfunc.load_model("saved")
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "The options of CPUExecutionProvider in the MLmodel file are not used",
        "extra_session_config in the MLmodel file is not used",
    ]
    caplog.clear()
    allowed = registry.pyfunc.load_model("saved", allow_code=True)
    entry = "session.disable_prepacking"
    assert allowed.get_raw_model().get_session_options().get_session_config_entry(entry) == "1"
    assert caplog.records == []
    assert served.predict(FRAME)["y"].tolist() == allowed.predict(FRAME)["y"].tolist()


@pytest.mark.parametrize(
    "entries",
    [
        {"onnx_session_options": {"graph_optimization_level": 12345}},
        {"onnx_session_options": ["a"]},
        {"providers": 7},
        {"providers": [["CPUExecutionProvider", 3]]},
    ],
)
def test_an_mlmodel_file_with_unknown_options_is_an_error_of_ours(entries: dict[str, Any]) -> None:
    registry.onnx.save_model(doubling(), "saved")
    edit(**entries)

    with pytest.raises(InvalidModelError, match="onnxruntime cannot load"):
        registry.pyfunc.load_model("saved", allow_code=True)


def test_a_provider_that_is_named_alone_or_missing_is_replaced_by_the_cpu() -> None:
    registry.onnx.save_model(doubling(), "saved")
    for providers in ("TensorrtExecutionProvider", None):
        edit(providers=providers)
        served = registry.pyfunc.load_model("saved")
        assert served.get_raw_model().get_providers() == ["CPUExecutionProvider"]
