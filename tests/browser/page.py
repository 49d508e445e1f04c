"""The page as a test uses it, whatever browser shows it."""

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

WITHIN_S = 60.0
"""Every wait for a browser ends by then."""


class Page(ABC):
    """One page. Every wait ends with an error after a minute."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        """What the console and the log of the browser hold of errors."""

    @abstractmethod
    async def open(self, url: str) -> None:
        """Load the page, and wait until it can be used."""

    @abstractmethod
    async def reload(self) -> None:
        """Load the page again, as its reader would, and wait until it can be used."""

    @abstractmethod
    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""

    @abstractmethod
    async def type(self, element: str, text: str) -> None:
        """With the keyboard, into the element of this id; a line feed is the Return key."""

    @abstractmethod
    async def choose_file(self, element: str, path: Path) -> None:
        """As in the dialog that the file input of this id opens."""

    async def do(self, statements: str) -> None:
        """Run JavaScript for what it does."""
        await self.run(f"(() => {{{statements}}})()")

    async def until(self, condition: str) -> Any:
        """The value of a JavaScript expression once it is true; it is looked at in every frame."""
        script = f"""new Promise((resolve) => {{
          const look = () => {{ const value = ({condition}); value ? resolve(value) : setTimeout(look, 16); }};
          look();
        }})"""
        return await self.run(script)

    async def click(self, element: str) -> None:
        """As a person would, by the id of the element."""
        await self.run(f"document.getElementById({json.dumps(element)}).click()")

    async def text(self, element: str) -> str:
        """What is written in the element of this id."""
        return str(await self.run(f"document.getElementById({json.dumps(element)}).innerText"))
