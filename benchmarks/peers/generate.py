"""`generate()` of transformers and of optimum's drop-in classes, as a stack.

    python -m benchmarks.peers.generate transformers CHECKPOINT --precision fp32 --tokens 16
    python -m benchmarks.peers.generate onnxruntime EXPORTED --tokens 16
    python -m benchmarks.peers.generate openvino EXPORTED --tokens 16

`EXPORTED` is what `benchmarks.peers.export` has written. Every class comes from its library as its
users get it: no graph of ours, no option beyond what the documentation names.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.tools.stack import answer


def load(runtime: str, directory: str, precision: str, threads: int) -> Any:
    """Return a model with `generate`."""
    if runtime == "transformers":
        from transformers import VisionEncoderDecoderModel

        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        return VisionEncoderDecoderModel.from_pretrained(directory, dtype=dtype).eval()
    if runtime == "onnxruntime":
        import onnxruntime
        from optimum.onnxruntime import ORTModelForVision2Seq

        session = onnxruntime.SessionOptions()
        session.intra_op_num_threads = threads
        files = {}
        if precision == "int8":
            names = ("encoder", "decoder", "decoder_with_past")
            files = {f"{name}_file_name": f"{name}_model_quantized.onnx" for name in names}
        return ORTModelForVision2Seq.from_pretrained(directory, session_options=session, **files)
    from optimum.intel import OVModelForVision2Seq

    config = {"INFERENCE_NUM_THREADS": threads}
    return OVModelForVision2Seq.from_pretrained(directory, export=False, ov_config=config)


def main() -> None:
    """Run the stack."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.generate")
    parser.add_argument("runtime", choices=("transformers", "onnxruntime", "openvino"))
    parser.add_argument("directory")
    parser.add_argument("--precision", choices=("fp32", "bf16", "int8"), default="fp32")
    parser.add_argument("--tokens", type=int, required=True)
    options = parser.parse_args()
    threads = int(os.environ["OMP_NUM_THREADS"])
    torch.set_num_threads(threads)
    model = load(options.runtime, options.directory, options.precision, threads)
    # No token ends a caption: all have their full length.
    model.generation_config.eos_token_id = None
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32

    def caption(pixels: NDArray[np.uint8], beams: int) -> list[list[int]]:
        with torch.inference_mode():
            images = torch.from_numpy(pixels).float() / 127.5 - 1
            out = model.generate(
                pixel_values=images.to(dtype),
                max_new_tokens=options.tokens,
                num_beams=beams,
                do_sample=False,
            )
        return [row[1:] for row in out.tolist()]

    answer(caption)


if __name__ == "__main__":
    main()
