"""Run networks with ONNX Runtime, whose convolutions take half as long on a CPU as torch's."""

from typing import Any

from joblib import cpu_count

CORES = cpu_count()  # joblib's, which counts the cores that a container may use, not all of its host
THREADS = max(1, CORES // 2)  # of a network beside which other processes open photos


def open_network(network: bytes, threads: int = THREADS) -> Any:
    """Return the `onnxruntime.InferenceSession` of an ONNX file's bytes."""
    import onnxruntime  # here because it takes a while, and most commands don't need it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    options.enable_cpu_mem_arena = False  # it would keep the memory that the largest photo took
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave their cores
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
