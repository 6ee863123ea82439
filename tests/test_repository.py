"""What holds for the repository as a whole: its files, its house rules, its documents."""

import ast
import itertools
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "vqvae"
SOURCES = sorted(PACKAGE.rglob("*.py"))
CODE = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "benchmarks").rglob("*.py")), ROOT / "docs" / "conf.py"]
TREES = {path: ast.parse(path.read_text()) for path in CODE}
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts)]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# A file, or a folder whose files may all import it.
ONE_IMPORTER = {
    "filelock": "disk.py",
    "numba": "layers/kernels/",
    "llvmlite": "layers/kernels/",
    "vizdoom": "data/render.py",
    "soundfile": "media/sounds.py",
    "soxr": "media/sounds.py",
    "gymnasium": "data/play.py",
    "crafter": "data/play.py",
    "ale_py": "data/play.py",
    "av": "media/video.py",
    "pyarrow": "media/arrow.py",
    "ray": "tokenization/cluster.py",
    "onnxscript": "export/onnx.py",
    "huggingface_hub": "storage/hub.py",
    "espeakng_loader": "data/voices.py",
    "pystoi": "evaluation/speech/distances.py",
    "fastapi": "serving/",
    "starlette": "serving/",
    "pydantic": "serving/",
    "anyio": "serving/",
    "uvicorn": "serving/process.py",
    "prometheus_client": "serving/measures.py",
    "torch.utils.tensorboard": "training/logging.py",
    "torch.distributed": "distributed.py",
}
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def place(path: Path, node: ast.AST) -> str:
    """Where a violation is, as an editor opens it."""
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def imported(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The full names that are imported, at the top or inside functions, or reached as attributes of ``torch``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)
        elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith("torch."):
            yield ast.unparse(node), node


def configs(tree: ast.AST) -> Iterator[ast.ClassDef]:
    """The dataclasses of settings, which become help texts and documents."""
    for node in ast.walk(tree):
        is_dataclass = isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
        if is_dataclass and node.name.endswith(("Config", "Options", "Arguments")):
            yield node


def links(text: str) -> list[str]:
    """The targets of Markdown links and pictures, outside of code."""
    text = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]*`", "", text)
    return re.findall(r"\]\(<?([^)\s>]+)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)


def test_every_folder_with_code_is_a_package() -> None:
    folders = {parent for path in CODE[:-1] for parent in path.parents if (PACKAGE in (parent, *parent.parents))}
    folders |= {path.parent for path in CODE if ROOT / "tests" in path.parents}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []
    assert (PACKAGE / "py.typed").is_file()


def test_no_source_file_has_more_than_400_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_no_function_has_more_than_60_lines() -> None:
    lengths = {
        f"{place(path, node)} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > 60} == {}


def test_no_file_is_named_for_what_does_not_belong_anywhere() -> None:
    names = [path for path in CODE if {"utils", "util", "helpers", "helper", "common", "misc"} & {path.stem, path.parent.name}]
    assert names == []


def test_nothing_is_unpickled() -> None:
    found = []
    for path in SOURCES:
        found += [place(path, node) for name, node in imported(TREES[path]) if name.partition(".")[0] in UNPICKLERS]
        for call in (node for node in ast.walk(TREES[path]) if isinstance(node, ast.Call)):
            name, settings = ast.unparse(call.func), {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            unsafe = name == "torch.load" and settings.get("weights_only") != "True"
            if unsafe or settings.get("allow_pickle", "False") != "False":
                found.append(place(path, call))
    assert found == []


def test_float64_is_made_where_there_is_some() -> None:
    # MPS has no float64: exact.py knows, and on the CPU there is always some.
    found = [path for path in SOURCES if path.name != "exact.py" and re.search(r"(?<!\.cpu\(\))\.double\(\)", path.read_text())]
    assert found == []


def test_annotations_are_values_that_can_be_checked() -> None:
    assert [place(path, node) for path, tree in TREES.items() for name, node in imported(tree) if name == "__future__.annotations"] == []


@pytest.mark.parametrize(("dependency", "importer"), ONE_IMPORTER.items())
def test_a_dependency_has_one_importer(dependency: str, importer: str) -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in SOURCES
        for name, _ in imported(TREES[path])
        if f"{name}.".startswith(f"{dependency}.")
    }
    assert {importer if importer.endswith("/") and path.startswith(importer) else path for path in found} == {importer}


def test_every_setting_says_what_it_is() -> None:
    found = []
    for path in SOURCES:
        for config in configs(TREES[path]):
            for field, after in itertools.zip_longest(config.body, config.body[1:]):
                said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
                # The command line merges these two into their parent, so they have no help text of their own.
                if isinstance(field, ast.AnnAssign) and not said and ast.unparse(field.annotation) not in ("Settings", "Options"):
                    found.append(f"{place(path, field)} {config.name}.{ast.unparse(field.target)}")
    assert found == []


def test_every_extra_is_installed_at_a_pinned_version() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    pins = {re.split("==", line)[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line}
    wanted = {re.split(r"[><=\[]", name)[0].lower() for group in (PROJECT["project"]["dependencies"], *extras.values()) for name in group}
    assert wanted - pins == set()
    listed = re.search(r"^EXTRAS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert listed is not None and set(listed[1].split(",")) == set(extras)
    assert (ROOT / "constraints.txt").read_text().startswith("torch==")


def test_what_runs_elsewhere_calls_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in (ROOT / ".ci" / "run", *(ROOT / ".github" / "workflows").glob("*.yml"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        called = set(re.findall(r"(?:^|run: |`)make ([a-z-]+)\b", path.read_text(), re.MULTILINE))
        assert called and called <= targets, path
    assert {"test", "test-browser", "check"} <= set(re.findall(r"^make ([a-z-]+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE))


def test_decisions_are_numbered_and_say_context_decision_and_price() -> None:
    records = sorted(path for path in (ROOT / "docs" / "decisions").glob("*.md") if path.name != "index.md")
    assert [path.name[:5] for path in records] == [f"{number:04}-" for number in range(1, len(records) + 1)]
    for path in records:
        text = path.read_text()
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Given up"], path
        assert text.startswith(f"# {int(path.name[:4])}. ") and all(
            len(part.strip()) > 100 for part in re.split(r"^## .*$", text, flags=re.M)[1:]
        )


def test_every_result_says_how_to_get_it_again() -> None:
    for path in (ROOT / "docs" / "results").glob("*.md"):
        if path.name != "index.md":
            record = json.loads(path.with_suffix(".json").read_text())
            assert isinstance(record.get("command"), str) and isinstance(record.get("commit"), str), path
            assert record["command"] in path.read_text(), path


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    local = [link.partition("#")[0] for link in links(path.read_text()) if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in local if not (path.parent / link).exists()] == []


def test_the_map_of_the_code_is_complete() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rows = dict(re.findall(r"^\| `([\w.]+(?:/\w+)*)/?` \| (.*) \|$", text, re.MULTILINE))
    mapped = {name if name.endswith(".py") else f"{name}/{file}.py" for name, row in rows.items() for file in re.findall(r"`(\w+)`", row)}
    mapped |= {name for name in rows if name.endswith(".py")}
    files = {path.relative_to(PACKAGE).as_posix() for path in SOURCES if path.name != "__init__.py"} | {"__init__.py"}
    assert sorted(files - mapped) == [], "files without a row"
    assert sorted(name for name in mapped - files if (PACKAGE / name).parent.is_dir()) == [], "rows without a file"


def test_news_fragments_are_named_as_towncrier_reads_them() -> None:
    kinds = "|".join(kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"])
    names = [path.name for path in (ROOT / "changes").iterdir() if path.name != ".gitignore"]
    assert [name for name in names if not re.fullmatch(rf"\+?[\w-]+\.({kinds})\.md", name)] == []
