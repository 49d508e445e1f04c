import ast
from collections.abc import Iterator
from pathlib import Path

from scripts.write_configuration import SECTIONS, TARGET, page
from tests.architecture import read_modules

ROOT = Path(__file__).parents[3]


def test_the_configuration_page_lists_every_setting_as_it_is() -> None:
    assert TARGET.read_text() == page()


def test_no_settings_class_is_missing_on_the_page() -> None:
    listed = {f"{settings.__module__}.{settings.__qualname__}" for _, _, settings in SECTIONS}
    assert listed == set(settings_classes())


def settings_classes() -> Iterator[str]:
    """Every class of the packages that gives `section` a value, which is what makes it one of settings."""
    for module in read_modules(ROOT).values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and any(_names_its_section(line) for line in node.body):
                yield f"{module.name}.{node.name}"


def _names_its_section(line: ast.stmt) -> bool:
    match line:
        case ast.AnnAssign(target=ast.Name(id="section"), value=value):
            return value is not None
        case ast.Assign(targets=[ast.Name(id="section")]):
            return True
        case _:
            return False
