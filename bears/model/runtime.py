"""Run networks with ONNX Runtime. On a CPU, ONNX Runtime's convolutions take half as long as torch's."""

from typing import Any

from joblib import cpu_count

CORES = cpu_count()  # joblib counts the cores that a container may use, not all cores of its host
THREADS = max(1, CORES // 2)  # threads of a network, while other processes open photos on the other cores


def open_network(network: bytes, threads: int = THREADS) -> Any:
    """Return an `onnxruntime.InferenceSession` for the bytes of an ONNX file."""
    import onnxruntime  # here, because it takes a while and most commands don't need it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    options.enable_cpu_mem_arena = False  # the arena would keep the memory that the largest photo took
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads don't use their cores
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
