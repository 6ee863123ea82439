"""Sphinx: `make docs` builds the documents with warnings as errors."""

import importlib.metadata
import re
from collections.abc import Iterator

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

project = "vqvae"
version = release = importlib.metadata.version("vqvae")
copyright = "the vqvae authors, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
html_theme = "furo"
html_title = f"vqvae {version}"
html_math_renderer = "mathml"
exclude_patterns = ["_build"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_update_mathjax = False

autoclass_content = "both"
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

_INHERITED = re.compile(r"^(Alias for field number|Initialize internal Module state).*", re.MULTILINE)
"""What Python and torch say where a class says nothing."""
_DRAWN = re.compile("[\u2500-\u257f]")


def as_written(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Show docstrings as they are written: plain text, ``code`` and drawings.

    reStructuredText would take ``*space`` and ``|x|`` for markup, and a drawing or an indented list of files for a paragraph.
    """
    text = _INHERITED.sub("", "\n".join(lines))
    # Without an empty comment, napoleon takes the words before a colon as the type of an attribute or a property.
    lines[:] = [*(["..", ""] if what in ("attribute", "data", "property") else []), *"\n\n".join(_paragraphs(text)).split("\n")]


def _paragraphs(text: str) -> Iterator[str]:
    # Code between fences may hold empty lines, so it is cut out first.
    for number, part in enumerate(re.split(r"^```\n?(.*?)```$", text, flags=re.DOTALL | re.MULTILINE)):
        if number % 2:
            yield _literal(part.rstrip())
            continue
        for paragraph in re.split(r"\n\s*\n", part.strip("\n")):
            yield _literal(paragraph) if _is_laid_out(paragraph) else _escaped(paragraph)


def _is_laid_out(paragraph: str) -> bool:
    """Whether its line breaks matter: a drawing, or lines that are indented below one that is neither a heading nor an item."""
    first, *rest = paragraph.split("\n")
    deeper = [line for line in rest if line.startswith(" " * (len(first) - len(first.lstrip()) + 2))]
    return _DRAWN.search(paragraph) is not None or bool(deeper and not re.search(r":$|^\s*([-*]|\d+\.) ", first))


def _literal(block: str) -> str:
    return ".. code-block:: text\n\n" + re.sub(r"^", "   ", block, flags=re.MULTILINE)


def _escaped(paragraph: str) -> str:
    pieces = re.split(r"(``.*?``)", paragraph, flags=re.DOTALL)
    pieces[::2] = [re.sub(r"\*(?=\w)|\||`|(?<=\w)_(?!\w)", r"\\\g<0>", piece) for piece in pieces[::2]]
    return "".join(pieces)


def inline_formula(html: HTML5Translator, node: nodes.math) -> None:
    """Write a formula as MathML: browsers show it without a script and without a network."""
    html.body.append(_mathml(node, "inline"))
    raise nodes.SkipNode


def displayed_formula(html: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on lines of its own. A wide one scrolls."""
    html.body.append(f'<div style="overflow-x: auto; overflow-y: hidden; padding: 0.3em 0">{_mathml(node, "block")}</div>')
    raise nodes.SkipNode


def _mathml(node: nodes.Element, display: str) -> str:
    found = convert(node.astext(), display=display)
    if re.search(r"\\[a-zA-Z]", found):
        logging.getLogger(__name__).warning("MathML has no words for a command in %r", node.astext(), location=node)
    return re.sub(r"(</m(?!o)\w+>)?<m[io]>(log|exp|[a-z]{2,}(?=</mo))</m[io]>(?=(<mo)?)", _function, found)


def _function(match: re.Match[str]) -> str:
    # "log p", not "logp": MathML puts no space around the name of a function.
    before, name, bracket = match.groups()
    return f'{before or ""}<mo lspace="{"0.17em" if before else 0}" rspace="{0 if bracket else "0.17em"}">{name}</mo>'


def setup(app: Sphinx) -> None:
    """Register the formulas, and the docstrings ahead of napoleon (500), which writes markup of its own."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline_formula, None), block_renderers=(displayed_formula, None))
    app.connect("autodoc-process-docstring", as_written, priority=400)
