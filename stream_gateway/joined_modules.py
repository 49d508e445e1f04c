"""Our JavaScript modules as one file: a browser then asks once, and not once for each of them.

The modules keep to a few forms of import and export, and anything else is refused. Each becomes a function that is
called once, behind those that it imports from, and whose names are its own. Comments that have lines of their own, and
what lines are indented by, stay behind: no text in these modules goes over several lines.
"""

import posixpath
import re
from collections.abc import Mapping
from typing import Final

_NAMES: Final = r'\{(\s*\w+\s*(?:,\s*\w+\s*)*,?\s*)\} from "(\.[^"]+)";$'
_IMPORT: Final = re.compile(f"^import {_NAMES}", re.MULTILINE)
_PASSED_ON: Final = re.compile(f"^export {_NAMES}", re.MULTILINE)
_EXPORTED: Final = re.compile(r"^export (?=(?:async function|function\*?|class|const) (\w+))", re.MULTILINE)
_UNKNOWN: Final = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)
_FOR_READERS: Final = re.compile(r"^ *(?:(?://.*|/\*\*[\s\S]*?\*/)\n *)*", re.MULTILINE)
_OWN_ADDRESS: Final = "import.meta.url"


def join_modules(sources: Mapping[str, str], entry: str) -> str:
    """The module `entry` with all that it imports from.

    `sources` are texts by path; the result must be served from where these paths begin, for modules that ask for their
    own address. ValueError for a form that is not known here, a module that is not there, and a circle.
    """
    return "".join(_Joined(sources).with_imports_of(entry))


class _Joined:
    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        self._numbers: dict[str, int] = {}
        self._open: list[str] = []

    def with_imports_of(self, path: str) -> list[str]:
        """The functions of all that `path` needs and that do not stand yet, and its own."""
        if path in self._numbers:
            return []
        if path in self._open or path not in self._sources:
            raise ValueError(f"{path}: {'imports itself' if path in self._open else 'there is no such module'}")
        self._open.append(path)
        source = self._sources[path]
        functions = []
        for form in (_IMPORT, _PASSED_ON):
            for _, target in form.findall(source):
                functions += self.with_imports_of(_resolved(path, target))
        self._open.remove(path)
        self._numbers[path] = len(self._numbers)
        return [*functions, self._function(path, source)]

    def _function(self, path: str, source: str) -> str:
        exported = [*_EXPORTED.findall(source)]
        for names, _ in _PASSED_ON.findall(source):
            exported += [name.strip() for name in names.split(",") if name.strip()]

        def taken(match: re.Match[str]) -> str:
            return f"const {{{match[1]}}} = $m{self._numbers[_resolved(path, match[2])]};"

        body = _EXPORTED.sub("", _PASSED_ON.sub(taken, _IMPORT.sub(taken, _FOR_READERS.sub("", source))))
        if (unknown := _UNKNOWN.search(body)) is not None:
            raise ValueError(f"{path}: {unknown[0]}")
        body = body.replace(_OWN_ADDRESS, f'new URL("./{path}", {_OWN_ADDRESS})')
        return f"const $m{self._numbers[path]} = (() => {{\n{body}return {{ {', '.join(exported)} }};\n}})();\n"


def _resolved(path: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
