"""Export a checkpoint as optimum's documentation says: plain, and in int8.

    python -m benchmarks.peers.export CHECKPOINT DIRECTORY

Writes `onnxruntime-fp32`, `onnxruntime-int8` (dynamic quantisation), `openvino` (which computes in
bfloat16 where the processor can) and `openvino-int8` (int8 weights) into `DIRECTORY`.
"""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path

from optimum.intel import OVModelForVision2Seq, OVWeightQuantizationConfig
from optimum.onnxruntime import ORTModelForVision2Seq, ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig

logger = logging.getLogger("export")


def export(checkpoint: Path, directory: Path) -> None:
    """Write all four exports."""
    plain, quantised = directory / "onnxruntime-fp32", directory / "onnxruntime-int8"
    ORTModelForVision2Seq.from_pretrained(checkpoint, export=True).save_pretrained(plain)
    shutil.copytree(plain, quantised, ignore=shutil.ignore_patterns("*.onnx"))
    how = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
    for name in ("encoder", "decoder", "decoder_with_past"):
        quantiser = ORTQuantizer.from_pretrained(plain, file_name=f"{name}_model.onnx")
        quantiser.quantize(quantization_config=how, save_dir=quantised)
    OVModelForVision2Seq.from_pretrained(checkpoint, export=True).save_pretrained(
        directory / "openvino"
    )
    OVModelForVision2Seq.from_pretrained(
        checkpoint, export=True, quantization_config=OVWeightQuantizationConfig(bits=8)
    ).save_pretrained(directory / "openvino-int8")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    target = Path(sys.argv[2])
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    export(Path(sys.argv[1]), partial)
    partial.rename(target)
