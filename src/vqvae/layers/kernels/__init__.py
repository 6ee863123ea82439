"""The sampling loops as kernels, compiled by numba (the extra ``fast``). No other folder imports numba, so import this one where needed.

``pixelcnn`` and ``wavenet`` each have one kernel, which draws one example; ``arithmetic``, ``int8`` (products with matrices in 8 bits)
and ``draw`` (a code from logits) are their parts, compiled into the same machine code.

All arrays are contiguous, and float32 except for matrices in 8 bits. Matrices are (inputs, outputs): the inner loops run along a row of
the matrix and of the result, and become vector instructions. Each process compiles the kernels anew; they are not kept on disk.
"""
