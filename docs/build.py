"""Build the site in every language into build/site; every warning is an error.

python docs/build.py              # build/site/VERSION/LANGUAGE, and the redirections
python docs/build.py --update     # put new sentences into the files of translations first
python docs/build.py --short 5    # English; runs the cells of every sixth page, by the number
"""

from __future__ import annotations

import argparse
import hashlib
import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

from babel.messages.pofile import read_po

import fastmlp

DOCS = Path(__file__).parent
BUILD = DOCS.parent / "build"
LANGUAGES = ("en", "zh_CN")
TRANSLATED = (  # whose sentences every language must have
    "index.md",
    "start.md",
    "guide.md",
    "gallery/*.md",
    "playground.md",
    "reference/index.md",
    "how-it-works.md",
    "evaluation.md",
)
# What a browser would load from elsewhere.
_FOREIGN = re.compile(
    r"<(?:script|img|iframe|source|video|audio|object|embed)\b[^>]*?\b(?:src|srcset|data)="
    r"[\"']?\s*((?:https?:)?//[^\"'\s>]+)"
    r"|<link\b(?![^>]*\brel=[\"'](?:canonical|alternate)[\"'])[^>]*?\bhref="
    r"[\"']?\s*((?:https?:)?//[^\"'\s>]+)"
    r"|(?:url\(|@import)\s*[\"']?\s*((?:https?:)?//[^\"'\s)>]+)",
    re.IGNORECASE,
)
_LINK = re.compile(r"<(?:a|link)\b[^>]*?\bhref=[\"']([^\"']*)[\"']")
_ANCHOR = re.compile(r"\b(?:id|name)=[\"']([^\"']+)[\"']")
_OURS = re.compile(r"https://github\.com/fastmlp/fastmlp/(?:blob|tree|raw)/main/([^?#]+)")


def main() -> None:
    """Build; stop with the exit code 1 at the first error."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--update", action="store_true", help="update the files of translations")
    parser.add_argument(
        "--short", type=int, metavar="NUMBER", help="English, and the cells of some pages alone"
    )
    arguments = parser.parse_args()
    if arguments.update:
        update()
    site = BUILD / "site"
    shutil.rmtree(site, ignore_errors=True)
    languages = LANGUAGES if arguments.short is None else LANGUAGES[:1]
    for language in languages:
        target = site / fastmlp.__version__ / language
        sphinx("html", target, language, "" if arguments.short is None else str(arguments.short))
    stop(
        "sentences have no translation",
        [line for language in languages[1:] for line in untranslated(language)],
    )
    stop("resources are loaded from elsewhere", foreign(site))
    for folder, target in ((site, f"{fastmlp.__version__}/"), (site / fastmlp.__version__, "en/")):
        (folder / "index.html").write_text(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>fastmlp</title>'
            f'<meta http-equiv="refresh" content="0; url={target}index.html">'
            f'<a href="{target}index.html">fastmlp</a>\n',
            encoding="utf-8",
        )
    if arguments.short is None:  # else the pages of other languages are missing
        stop("links lead nowhere", broken(site))
    print(site / "index.html")


def stop(what: str, lines: list[str]) -> None:
    """End with the lines, if there are any."""
    if lines:
        sys.exit("\n".join([*lines, f"{len(lines)} {what}"]))


def sphinx(builder: str, target: Path, language: str, short: str = "") -> None:
    """Run Sphinx in a process, so that no setting stays from one language to the next."""
    environment = os.environ | {
        "SITE_LANGUAGE": language,
        "SITE_SOURCES": str(DOCS.parent),
        "SITE_SHORT": short,
        "SITE_EXECUTION": "off" if builder == "gettext" else "cache",  # cells print no sentence
        "SITE_CELLS": os.environ.get("SITE_CELLS", str(BUILD / "cells" / library_digest())),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONSTARTUP": str(DOCS / "_kernel.py"),
        "IPYTHONDIR": str(BUILD / "ipython"),
        "NO_COLOR": "1",
    }
    # Cells call the command.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    doctrees = BUILD / "doctrees" / f"{builder}-{language}{short and '-short'}"
    command = [sys.executable, "-m", "sphinx", "-b", builder, "-d", str(doctrees), "--quiet"]
    command += ["--fail-on-warning", "--keep-going", str(DOCS), str(target)]
    if subprocess.run(command, env=environment, check=False).returncode:
        sys.exit(f"{builder} in {language}: see the warnings above")


def library_digest() -> str:
    """Return a digest of the library and the kernel: with another one, all cells run again."""
    package = Path(fastmlp.__file__).parent
    files = [*package.rglob("*.py"), *package.glob("_core*.so"), DOCS / "_kernel.py"]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def foreign(site: Path) -> list[str]:
    """Return what pages and style sheets load from elsewhere, as file and address."""
    return [
        f"{path.relative_to(site)}: {''.join(found)}"
        for path in sorted(site.rglob("*"))
        if path.suffix in (".html", ".css", ".svg")
        for found in _FOREIGN.findall(path.read_text(encoding="utf-8"))
    ]


def broken(site: Path) -> list[str]:
    """Return links to files, anchors and parts of the repository that are not there."""
    texts = {
        path: path.read_text(encoding="utf-8")
        for path in sorted(site.rglob("*.html"))
        if "_static" not in path.parts  # templates of the theme
    }
    anchors = {path: set(_ANCHOR.findall(text)) for path, text in texts.items()}
    lines = []
    for path, text in texts.items():
        for address in sorted(set(_LINK.findall(text))):
            target, _, anchor = html.unescape(address).partition("#")
            if match := _OURS.match(target):
                is_there = (DOCS.parent / unquote(match[1])).exists()
            elif ":" in target:
                continue
            else:
                file = (path.parent / unquote(target.partition("?")[0])).resolve()
                file = path if not target else file / "index.html" if file.is_dir() else file
                is_there = file.is_file()
                if is_there and anchor and file in anchors:
                    is_there = unquote(anchor) in anchors[file]
            if not is_there:
                lines.append(f"{path.relative_to(site)}: {address}")
    return lines


def pages(language: str) -> list[tuple[Path, Path]]:
    """Return what must be translated: each page, and its file of translations."""
    catalogs = DOCS / "locale" / language / "LC_MESSAGES"
    found = [page for pattern in TRANSLATED for page in sorted(DOCS.glob(pattern))]
    return [(page, catalogs / page.relative_to(DOCS).with_suffix(".po")) for page in found]


def update() -> None:
    """Add new sentences to the files of translations, and remove those that are gone."""
    templates = BUILD / "gettext"
    shutil.rmtree(templates, ignore_errors=True)
    sphinx("gettext", templates, "en")
    wanted = {page.relative_to(DOCS).with_suffix(".pot") for page, _ in pages(LANGUAGES[1])}
    for path in templates.rglob("*.pot"):
        if path.relative_to(templates) not in wanted:
            path.unlink()
    for language in LANGUAGES[1:]:
        program = Path(sys.executable).parent / "sphinx-intl"
        command = [program, "update", "-p", templates, "-l", language, "-d", DOCS / "locale"]
        subprocess.run([*command, "--line-width", "100"], check=True)


def untranslated(language: str) -> list[str]:
    """Return what has no translation, as file, line and sentence."""
    lines = []
    for _, path in pages(language):
        name = path.relative_to(DOCS.parent)
        if not path.is_file():
            lines.append(f"{name}: is missing; write it by docs/build.py --update")
            continue
        with path.open("rb") as file:
            catalog = read_po(file)
        lines += [
            f"{name}:{message.lineno}: {message.id}"
            for message in catalog
            if message.id and (not message.string or message.fuzzy)
        ]
    return lines


if __name__ == "__main__":
    main()
