"""The sampling loops as kernels, compiled by numba (the extra ``fast``): the only folder that imports it, so import it where it is used.

``pixelcnn`` and ``wavenet`` each have one kernel, which draws one example; ``arithmetic``, ``int8`` (products with matrices in 8 bits)
and ``draw`` (a code from logits) are the parts that they are made of, and become one piece of machine code with them.

All arrays are contiguous, and float32 but for matrices in 8 bits. Matrices are (inputs, outputs), so that the inner loops run along a row
of the matrix and of the result, and become vector instructions. The compiled kernels are kept on disk where that can be written.
"""
