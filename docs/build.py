"""Build the site in every language into build/site; every warning is an error.

python docs/build.py            # build/site/VERSION/LANGUAGE, and the redirections
python docs/build.py --update   # put new sentences into the files of translations first
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from babel.messages.pofile import read_po

import fastmlp

DOCS = Path(__file__).parent
BUILD = DOCS.parent / "build"
LANGUAGES = ("en", "zh_CN")
TRANSLATED = ("gallery",)  # folders whose sentences must all be there in each language


def main() -> None:
    """Build; stop with the exit code 1 at the first error."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--update", action="store_true", help="update the files of translations")
    arguments = parser.parse_args()
    if arguments.update:
        update()
    site = BUILD / "site"
    shutil.rmtree(site, ignore_errors=True)
    for language in LANGUAGES:
        sphinx("html", site / fastmlp.__version__ / language, language)
    missing = [line for language in LANGUAGES[1:] for line in untranslated(language)]
    if missing:
        sys.exit("\n".join([*missing, f"{len(missing)} sentences have no translation"]))
    for folder, target in ((site, f"{fastmlp.__version__}/"), (site / fastmlp.__version__, "en/")):
        (folder / "index.html").write_text(
            f'<!doctype html><meta charset="utf-8"><title>fastmlp</title>'
            f'<meta http-equiv="refresh" content="0; url={target}index.html">'
            f'<a href="{target}index.html">fastmlp</a>\n',
            encoding="utf-8",
        )
    print(site / "index.html")


def sphinx(builder: str, target: Path, language: str) -> None:
    """Run Sphinx in a process, so that no setting stays from one language to the next."""
    environment = os.environ | {
        "SITE_LANGUAGE": language,
        "SITE_SOURCES": str(DOCS.parent),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONSTARTUP": str(DOCS / "_kernel.py"),
        "IPYTHONDIR": str(BUILD / "ipython"),
        "NO_COLOR": "1",
    }
    # Cells call the command.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    doctrees = BUILD / "doctrees" / f"{builder}-{language}"
    command = [sys.executable, "-m", "sphinx", "-b", builder, "-d", str(doctrees), "--quiet"]
    command += ["--fail-on-warning", "--keep-going", str(DOCS), str(target)]
    if subprocess.run(command, env=environment, check=False).returncode:
        sys.exit(f"{builder} in {language}: see the warnings above")


def update() -> None:
    """Add new sentences to the files of translations, and remove those that are gone."""
    templates = BUILD / "gettext"
    sphinx("gettext", templates, "en")
    for path in templates.rglob("*.pot"):
        if path.relative_to(templates).parts[0] not in TRANSLATED:
            path.unlink()
    for language in LANGUAGES[1:]:
        program = Path(sys.executable).parent / "sphinx-intl"
        command = [program, "update", "-p", templates, "-l", language, "-d", DOCS / "locale"]
        subprocess.run([*command, "--line-width", "100"], check=True)


def untranslated(language: str) -> list[str]:
    """Return what has no translation, as file, line and sentence."""
    lines = []
    for folder in TRANSLATED:
        for page in sorted((DOCS / folder).glob("*.md")):
            path = DOCS / "locale" / language / "LC_MESSAGES" / folder / f"{page.stem}.po"
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
