"""Count the house: entries, files, lines, arrows between rooms, files a verb enters.

    python benchmarks/house.py
    python benchmarks/house.py -- classify x.jpg -o x.ecsv

Code is what is left without blank lines, comments and docstrings. A file counts as
entered if the verb calls a function of it, in whichever thread of the process;
what runs while modules load (classes, comprehensions) is no call.
"""

import argparse
import ast
import inspect
import io
import json
import os
import sys
import threading
import tokenize
from pathlib import Path
from types import FrameType

PACKAGE = Path(__file__).parents[1] / "src" / "dmagnet"
ASIDE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT}
ASIDE |= {tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(text: str) -> int:
    """Count the lines of code of a file."""
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in ASIDE:
            held |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body:
            first = node.body[0]
            if ast.get_docstring(node) is not None:
                held -= set(range(first.lineno, first.end_lineno + 1))
    return len(held)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def arrows() -> set[tuple[str, str]]:
    """List which room imports which."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
                if node.module == "dmagnet":
                    names = [f"dmagnet.{name.name}" for name in node.names]
                rooms = {room_of(n) for n in names if n.startswith("dmagnet.")}
                rooms -= {"_lazily", "__version__", "", here}
                found |= {(here, room) for room in rooms if here != "__init__"}
    return found


def entered(words: list[str]) -> list[str]:
    """Run a verb, and list the files of the package whose functions it calls."""
    seen: set[str] = set()
    root = str(PACKAGE)

    def _watch(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        own = code.co_flags & inspect.CO_OPTIMIZED and not code.co_name.startswith("<")
        if event == "call" and own:
            name = code.co_filename
            if name.startswith(root):
                seen.add(name)

    from dmagnet.cli import main

    threading.setprofile(_watch)
    sys.setprofile(_watch)
    try:
        main(words)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return sorted(os.path.relpath(name, PACKAGE) for name in seen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", nargs="*", help="a verb and its words, after --")
    asked = parser.parse_args()
    if asked.verb:
        files = entered(asked.verb)
        print("\n".join(files))
        print(len(files), "files entered")
        return
    texts = [path.read_text() for path in PACKAGE.rglob("*.py")]
    summary = {
        "entries": len([p for p in PACKAGE.iterdir() if p.name != "__pycache__"]),
        "files": len(texts),
        "lines": sum(text.count("\n") for text in texts),
        "code": sum(map(code_lines, texts)),
        "arrows": len(arrows()),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
