"""torch: a network's layers packed for the processor's fastest kernels."""
