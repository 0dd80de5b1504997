"""From a run and its evaluation to one HTML file and the pictures in it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastmlp._files import atomic_write
from fastmlp._version import __version__
from fastmlp.extras import require
from fastmlp.report.blocks import Picture, Section
from fastmlp.report.subject import Subject

if TYPE_CHECKING:
    from fastmlp.data import Samples
    from fastmlp.experiment.evaluation import Evaluation
    from fastmlp.experiment.rundir import RunDirectory
    from fastmlp.model import MLP

__all__ = ["write_report"]

_TEMPLATE = "template.html.jinja"


def write_report(
    run: RunDirectory,
    *,
    model: MLP,
    evaluation: Evaluation,
    samples: Samples,
    threads: int | None = None,
) -> Path:
    """Write `run.report_path`, and the pictures in it to `run.plots_path` as SVG files.

    The report is one file that needs nothing else: pictures and style are in it, there is no script
    and no address of another file. The same arguments give the same bytes.

    Parameters
    ----------
    run : RunDirectory
        With its config.toml; what else it lacks, the report leaves out.
    model : MLP
        The one that the run is judged by. Without preprocessing classes and features have numbers
        for names.
    evaluation : Evaluation
        Of `model` on `samples`.
    samples : Samples
        ``x`` as the network takes it, and ``y``.
    threads : int, optional
        For what the model computes.

    Returns
    -------
    pathlib.Path
        Of the report.

    Raises
    ------
    MissingExtraError
        matplotlib or jinja2 is not installed.
    FormatError
        A file of the run is damaged.
    OSError
        A file cannot be read or written; no file is left half-written.
    """
    for package in ("matplotlib", "jinja2"):
        require("plot", package)
    from fastmlp.report.overview import appendix, files, header, notes, tiles

    subject = Subject(run, model, evaluation, samples, threads)
    run.plots_path.mkdir(parents=True, exist_ok=True)
    facts = {"header": header(subject), "tiles": tiles(subject)}
    end = list(appendix(subject))
    sections = [*notes(subject), *_findings(subject)]
    pictures = [b for section in sections for b in section.blocks if isinstance(b, Picture)]
    for picture in pictures:
        atomic_write(run.plots_path / f"{picture.name}.svg", _utf8(picture.svg))
    page = _page(facts, [*sections, *end, files(subject)], pictures)
    atomic_write(run.report_path, _utf8(page))
    return run.report_path


def _utf8(text: str) -> bytes:
    # Names of files that are not UTF-8 hold surrogates, which have no encoding.
    return text.encode(errors="replace")


def _findings(subject: Subject) -> Iterator[Section]:
    """The chapters that have pictures."""
    from fastmlp.report.sections import first_layer, result_sections, training_sections
    from fastmlp.report.worst import worst_samples

    yield from training_sections(subject)
    yield from result_sections(subject)
    yield worst_samples(subject)
    yield first_layer(subject)


def _page(facts: dict[str, Any], sections: list[Section], pictures: list[Picture]) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from fastmlp.report.inline import inline_svg

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = resources.files("fastmlp.report").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    inline = {p.name: Markup(inline_svg(p.svg, p.description)) for p in pictures if p.in_page}
    return environment.from_string(source).render(
        version=__version__, sections=sections, inline=inline, **facts
    )
