"""The rules of CONTRIBUTING.md that a machine can check, over syntax trees alone: nothing is imported or run.

Each check yields one readable line per violation. `tests/unit/test_architecture.py` runs them on the repository, and
on a toy tree in which each rule is broken once.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("bus", "stream_gateway", "asr_workers", "llm_workers", "clients")
MAY_USE: Mapping[str, tuple[str, ...]] = {
    "bus": ("bus",),
    "stream_gateway": ("stream_gateway", "bus"),
    "asr_workers": ("asr_workers", "bus"),
    "llm_workers": ("llm_workers", "bus"),
    "clients": ("clients", "bus.contract"),
}
PURE = (
    "bus/contract/",
    "bus/control/child_spec.py",
    "bus/control/restart_policy.py",
    "bus/control/roster.py",
    "bus/transport/jetstream_api.py",
    "bus/transport/pull_protocol.py",
    "bus/transport/roles.py",
    "bus/transport/server_url.py",
    "stream_gateway/chat/",
    "stream_gateway/dialects/base.py",
    "stream_gateway/dialects/base64_audio.py",
    "stream_gateway/dialects/deepgram.py",
    "stream_gateway/dialects/deepgram_channel.py",
    "stream_gateway/dialects/deepgram_messages.py",
    "stream_gateway/dialects/deepgram_query.py",
    "stream_gateway/dialects/deepgram_text.py",
    "stream_gateway/dialects/whisper_live.py",
    "stream_gateway/dialects/whisper_live_messages.py",
    "stream_gateway/dialects/openai_beta.py",
    "stream_gateway/dialects/openai_events.py",
    "stream_gateway/dialects/openai_items.py",
    "stream_gateway/dialects/openai_realtime.py",
    "stream_gateway/dialects/openai_report.py",
    "stream_gateway/dialects/openai_responses.py",
    "stream_gateway/dialects/openai_session.py",
    "stream_gateway/dialects/openai_speech.py",
    "stream_gateway/dialects/openai_wire.py",
    "stream_gateway/session/",
    "stream_gateway/policy/",
    "stream_gateway/joined_modules.py",
    "stream_gateway/segmentation/segmenter.py",
    "stream_gateway/segmentation/cut.py",
    "stream_gateway/segmentation/gate.py",
    "stream_gateway/segmentation/manual.py",
    "stream_gateway/segmentation/pacing.py",
    "stream_gateway/audio/sniffing.py",
    "asr_workers/batch/arrivals.py",
    "asr_workers/batch/costs.py",
    "asr_workers/cancelled.py",
    "asr_workers/health.py",
    "asr_workers/batch/plan.py",
    "asr_workers/batch/scheduler.py",
    "asr_workers/batch/slot_use.py",
    "asr_workers/windows/buckets.py",
    "asr_workers/windows/drafts.py",
    "asr_workers/windows/guards.py",
    "asr_workers/windows/words.py",
    "llm_workers/budget.py",
    "llm_workers/cancelled.py",
    "llm_workers/deltas.py",
    "llm_workers/engines/event_stream.py",
    "llm_workers/engines/retries.py",
    "llm_workers/engines/torch_budget.py",
    "llm_workers/engines/torch_text.py",
    "llm_workers/taking.py",
    "clients/addresses.py",
    "clients/answers.py",
    "clients/connection_changes.py",
    "clients/held.py",
    "clients/inbox.py",
    "clients/outgoing.py",
    "clients/reconnect.py",
    "clients/sleep_watch.py",
    "clients/session.py",
    "clients/failures.py",
    "clients/replay.py",
    "clients/cli/answer_figures.py",
    "clients/cli/chat_advice.py",
    "clients/cli/chat_commands.py",
    "clients/cli/chat_effects.py",
    "clients/cli/connection_notes.py",
    "clients/cli/conversation.py",
    "clients/cli/cues.py",
    "clients/cli/flow.py",
    "clients/cli/latencies.py",
)
BANNED_IN_PURE = tuple(
    "asyncio concurrent ctypes datetime http io logging multiprocessing os pathlib queue random secrets select signal"
    " socket ssl subprocess sys tempfile threading time urllib.request uuid"
    " av click ctranslate2 faster_whisper nats onnxruntime prometheus_client prompt_toolkit rich soxr torch uvloop"
    " websockets".split()
)
ONLY_IN: Mapping[str, tuple[str, ...]] = {
    "nats": ("bus/transport/",),
    "ctranslate2": ("asr_workers/engines/",),
    "faster_whisper": ("asr_workers/engines/",),
    "numpy": ("stream_gateway/", "asr_workers/"),
    "onnxruntime": ("stream_gateway/segmentation/",),
    "prompt_toolkit": ("clients/cli/chat_terminal.py",),
    "websockets": ("stream_gateway/", "clients/"),
    "h11": ("llm_workers/engines/",),
    "httpx2": ("llm_workers/engines/",),
    "xllamacpp": ("llm_workers/engines/",),
    "torch": ("llm_workers/engines/",),
    "transformers": ("llm_workers/engines/",),
}
FORBIDDEN_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"})
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, where it is imported, and whether on import of the importing module."""

    module: str
    line: int
    at_module_level: bool


@dataclass(frozen=True, slots=True)
class Module:
    """One source file."""

    path: str
    """Relative to the root, with slashes."""
    name: str
    text: str
    tree: ast.Module
    imports: tuple[Import, ...]


def read_modules(root: Path, packages: tuple[str, ...] = PACKAGES) -> dict[str, Module]:
    """All modules of `packages` below `root`, by dotted name."""
    paths = [path for package in packages for path in sorted((root / package).rglob("*.py"))]
    names = {_dotted(path.relative_to(root)) for path in paths}
    modules = {}
    for path in paths:
        relative, text = path.relative_to(root), path.read_text(encoding="utf-8")
        tree = ast.parse(text, filename=str(relative))
        name = _dotted(relative)
        imports = _imports(tree, name, is_package=path.name == "__init__.py", known=names)
        modules[name] = Module(relative.as_posix(), name, text, tree, imports)
    return modules


def violations(modules: Mapping[str, Module]) -> Iterator[str]:
    """Every broken rule as `path:line: what is wrong`."""
    for module in modules.values():
        yield from _arrows(module)
        yield from _libraries(module)
        yield from _purity(module, modules)
        yield from _sizes(module)
        yield from _names(module, modules)
    yield from _cycles(modules)


def oversize_files(root: Path) -> Iterator[str]:
    """Every Python file of the repository, tests and scripts too, that is longer than a reader can hold in mind."""
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if any(part.startswith(".") for part in relative.parts):
            continue  # what tools have put there, the virtual environment first of all
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_FILE_LINES:
            yield f"{relative.as_posix()}:1: {lines} lines, cap {MAX_FILE_LINES}"


def is_pure(path: str) -> bool:
    """Whether the file belongs to the pure core."""
    return path.startswith(PURE)


def _arrows(module: Module) -> Iterator[str]:
    allowed = MAY_USE[module.name.partition(".")[0]]
    for imported in module.imports:
        if imported.module.partition(".")[0] in MAY_USE and not _is_within(imported.module, allowed):
            yield f"{module.path}:{imported.line}: may not import {imported.module}"


def _libraries(module: Module) -> Iterator[str]:
    for imported in module.imports:
        library = imported.module.partition(".")[0]
        if library in ONLY_IN and not module.path.startswith(ONLY_IN[library]):
            yield f"{module.path}:{imported.line}: {library} is only for {' and '.join(ONLY_IN[library])}"


def _purity(module: Module, modules: Mapping[str, Module]) -> Iterator[str]:
    if not is_pure(module.path):
        return
    for imported in module.imports:
        if _is_within(imported.module, BANNED_IN_PURE):
            yield f"{module.path}:{imported.line}: pure, yet imports {imported.module}"
        ours = modules.get(imported.module)
        if ours is not None and ours.text.strip() and not is_pure(ours.path):
            yield f"{module.path}:{imported.line}: pure, yet imports the impure {imported.module}"


def _sizes(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{module.path}:{node.lineno}: {node.name} has {length} lines, cap {MAX_FUNCTION_LINES}"


def _names(module: Module, modules: Mapping[str, Module]) -> Iterator[str]:
    stem = module.path.rpartition("/")[2].removesuffix(".py")
    if stem == "__init__":
        if module.text.strip():
            yield f"{module.path}:1: an __init__.py stays empty"
        stem = module.name.rpartition(".")[2]
    if stem in FORBIDDEN_NAMES:
        yield f"{module.path}:1: {stem} says nothing about what is in it"
    if stem in _libraries_used(modules):
        yield f"{module.path}:1: named like the library {stem}"


def _cycles(modules: Mapping[str, Module]) -> Iterator[str]:
    edges = {
        name: sorted(
            {i.module for i in module.imports if i.at_module_level and i.module in modules and i.module != name}
        )
        for name, module in modules.items()
    }
    done: set[str] = set()
    for start in modules:
        yield from _cycles_from(start, edges, done, [])


def _cycles_from(name: str, edges: Mapping[str, list[str]], done: set[str], trail: list[str]) -> Iterator[str]:
    if name in trail:
        yield "import cycle: " + " -> ".join([*trail[trail.index(name) :], name])
        return
    if name in done:
        return
    for imported in edges[name]:
        yield from _cycles_from(imported, edges, done, [*trail, name])
    done.add(name)


def _imports(tree: ast.Module, importer: str, *, is_package: bool, known: set[str]) -> tuple[Import, ...]:
    inside_functions = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        at_module_level = id(node) not in inside_functions
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno, at_module_level) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, importer, is_package=is_package)
            names = [f"{base}.{alias.name}" for alias in node.names]
            found += [Import(name if name in known else base, node.lineno, at_module_level) for name in names]
    return tuple(dict.fromkeys(found))


def _absolute(node: ast.ImportFrom, importer: str, *, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parents = importer.split(".")
    kept = parents[: len(parents) - node.level + (1 if is_package else 0)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _libraries_used(modules: Mapping[str, Module]) -> frozenset[str]:
    roots = {i.module.partition(".")[0] for module in modules.values() for i in module.imports}
    return frozenset(roots & {*BANNED_IN_PURE, *ONLY_IN})


def _is_within(module: str, allowed: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in allowed)


def _dotted(relative: Path) -> str:
    parts = relative.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
