from vqvae.layers.kernels.exact import compiled


def test_a_compiled_loop_computes_whole_numbers() -> None:
    def product(a, b):  # noqa: ANN001 - compiled.
        return (a * b) >> 3

    assert compiled(product)(2**40 + 1, 8) == 2**40 + 1
