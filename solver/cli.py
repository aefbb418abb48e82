"""The command line `fe2`. Commands import what they need when they run, so that `--help` answers at once.

Exit codes: 0 done, 2 bad input (one line, never a traceback), 3 did not converge, 130 interrupted.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated

import click
import typer

from solver.case.errors import BadInput

if TYPE_CHECKING:
    from mpi4py import MPI

DONE, BAD_INPUT, NOT_CONVERGED, INTERRUPTED = 0, 2, 3, 130

app = typer.Typer(
    name="fe2",
    help="Concurrent two-scale finite elements (FE²).",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

CaseFile = Annotated[Path, typer.Argument(metavar="CASE.yaml", help="The case file.", show_default=False)]
Overrides = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change one value of the case; may be repeated."),
]


@app.callback(invoke_without_command=True)
def fe2(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Concurrent two-scale finite elements (FE²): a representative cell is solved at every integration point."""
    if version:
        from solver.version import program_version

        _say(f"fe2 {program_version()}")
        raise typer.Exit(DONE)
    if context.invoked_subcommand is None:
        _say(context.get_help())


@app.command()
def run(
    case_file: CaseFile,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run directory; by default runs/NAME, NAME being that of the case file."),
    ] = None,
    overrides: Overrides = [],  # noqa: B006 - typer copies it
    restart: Annotated[bool, typer.Option("--restart", help="Go on from the restart point in DIR.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show nothing but errors.")] = False,
) -> int:
    """Run a case; under `mpirun -n N` in parallel."""
    comm = _communicator()
    from solver.build import build
    from solver.case.collective import load_on_all
    from solver.case.loading import parse_case
    from solver.case.suspicions import suspicions
    from solver.driver import NotConverged
    from solver.iterated_run import iterates, run_iterated
    from solver.newton import Interrupted
    from solver.results.results import Results

    case = load_on_all(comm, parse_case, case_file, overrides)
    if not quiet:
        _warn(suspicions(case))
    directory = out if out is not None else Path("runs") / case_file.stem
    try:
        if iterates(case):
            if restart:
                text = "a case that is repeated with `mode: iterate` starts at rest, run it without --restart"
                raise BadInput(f"{case.located(('materials',))}: materials: {text}")
            run_iterated(case, comm, directory, quiet=quiet)
        else:
            results = Results(case, comm, directory, restart=restart, quiet=quiet)
            with results.timing("build"):
                driver = build(case, comm, directory)
            results.run(driver)
    except NotConverged as error:
        _complain(f"{error}\nEverything up to the last accepted step is saved in {directory}")
        comm.Barrier()  # a rank that ends earlier would silence the first one
        return NOT_CONVERGED
    except Interrupted as error:
        _complain(f"{error}\n`fe2 run {case_file} --out {directory} --restart` goes on from there")
        comm.Barrier()
        return INTERRUPTED
    return DONE


@app.command()
def check(case_file: CaseFile, overrides: Overrides = []) -> int:  # noqa: B006 - typer copies it
    """Validate a case and print its plan.

    Dofs, integration points, state memory and estimated RVE solves; nothing is solved.
    """
    comm = _communicator()
    from solver.case.collective import load_on_all
    from solver.case.loading import parse_case
    from solver.case.suspicions import suspicions
    from solver.plan import make_plan
    from solver.plan_table import print_plan

    case = load_on_all(comm, parse_case, case_file, overrides)
    plan = make_plan(case, comm)
    _warn(suspicions(case))
    if _rank() == 0:
        print_plan(case.title or case_file.stem, plan, plain=_parallel())  # mpirun lends its ranks a terminal
    return DONE


@app.command()
def homogenize(
    cell_file: Annotated[Path, typer.Argument(metavar="CELL.yaml", help="The cell and its path.", show_default=False)],
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Where to write; by default printed.")] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the cell and its phases.")] = None,
    overrides: Overrides = [],  # noqa: B006 - typer copies it
) -> int:
    """Drive one cell along a macroscopic path.

    Writes flux and tangent of every state as JSON.
    """
    comm = _communicator()
    from solver.case.collective import load_on_all
    from solver.case.loading import parse_cell_case

    case = load_on_all(comm, parse_cell_case, cell_file, overrides)
    for option, file in (("--out", out), ("--picture", picture)):
        if file is not None and not file.parent.is_dir():
            raise BadInput(f"{file}: the folder {file.parent} does not exist, create it or choose another for {option}")
        if file is not None and file.is_dir():
            raise BadInput(f"{file}: is a directory, name a file for {option}")
    if picture is not None and picture.suffix != ".png":
        raise BadInput(f"{picture}: pictures are PNG files, name a .png for --picture")
    import json

    from solver.cell_description import describe_cell
    from solver.homogenization import PathNotConverged, homogenize_case
    from solver.results.atomic import write_text

    def follow_the_path() -> int:
        code = DONE
        try:
            result = homogenize_case(case, picture)
        except PathNotConverged as failure:
            _complain(f"{failure}; the steps before it are kept")
            code, result = NOT_CONVERGED, failure.result
        text = json.dumps(result, indent=1, allow_nan=False)
        if out is None:
            print(text, flush=True)
        else:
            write_text(out, text + "\n")
            print(f"{describe_cell(result)}\nWritten: {out}", flush=True)
        return code

    return _on_root(follow_the_path)


@app.command()
def sample(
    case_file: CaseFile,
    out: Annotated[Path, typer.Option(metavar="DATA.h5", help="The dataset to write.", show_default=False)],
    surrogate: Annotated[
        str | None, typer.Option(metavar="NAME", help="Recipe under `surrogates`; by default the only one.")
    ] = None,
    range_from: Annotated[
        Path | None, typer.Option(metavar="RUN_DIR", help="Take the range from what happens in a run.")
    ] = None,
    overrides: Overrides = [],  # noqa: B006 - typer copies it
    quiet: Annotated[bool, typer.Option("--quiet", help="Show nothing but errors.")] = False,
) -> int:
    """Solve a cell along the paths of a recipe, as data for a surrogate.

    The same command goes on where an interrupted one stopped.
    """
    comm = _communicator()
    from datetime import UTC, datetime

    from solver.case.collective import load_on_all
    from solver.case.loading import parse_case
    from solver.sampling import NothingSampled, chosen_recipe
    from solver.sampling import sample as sample_case

    case = load_on_all(comm, parse_case, case_file, overrides)
    recipe = chosen_recipe(case, surrogate)
    if range_from is not None:
        from solver.sampled_range import range_of_run

        largest = _on_root(lambda: range_of_run(range_from, case.measure))
        overrides = [*overrides, f"surrogates.{recipe}.sampling.range={largest!r}"]
        case = load_on_all(comm, parse_case, case_file, overrides)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        lines = sample_case(case, recipe, comm, out, now, None if quiet else sys.stdout)
    except NothingSampled as error:
        _complain(f"{error}")
        comm.Barrier()  # a rank that ends earlier would silence the first one
        return NOT_CONVERGED
    except KeyboardInterrupt:
        _complain("interrupted; the same command goes on from here")
        return INTERRUPTED
    if not quiet:
        for line in lines:
            _say(line)
    return DONE


@app.command()
def train(
    case_file: CaseFile,
    data: Annotated[Path, typer.Option(metavar="DATA.h5", help="A dataset of `fe2 sample`.", show_default=False)],
    out: Annotated[Path, typer.Option(metavar="MODEL_DIR", help="The model folder to write.", show_default=False)],
    surrogate: Annotated[
        str | None, typer.Option(metavar="NAME", help="Recipe under `surrogates`; by default the only one.")
    ] = None,
    overrides: Overrides = [],  # noqa: B006 - typer copies it
    quiet: Annotated[bool, typer.Option("--quiet", help="Show nothing but errors.")] = False,
) -> int:
    """Train the surrogate that a recipe describes.

    Writes a model folder, for `type: surrogate` in a case.
    """
    comm = _communicator()
    from datetime import UTC, datetime

    from solver.case.collective import load_on_all
    from solver.case.loading import parse_case
    from solver.sampling import chosen_recipe
    from solver.surrogate_training import summary, train_case

    case = load_on_all(comm, parse_case, case_file, overrides)
    recipe = chosen_recipe(case, surrogate)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        lines = _on_root(lambda: summary(train_case(case, recipe, data, out, now, None if quiet else sys.stdout)))
    except KeyboardInterrupt:
        _complain("interrupted; nothing was written")
        return INTERRUPTED
    if not quiet:
        for line in lines:
            _say(line)
        _say(f"Written: {out}")
    return DONE


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="A model folder.", show_default=False)],
    data: Annotated[Path, typer.Option(metavar="DATA.h5", help="A dataset of `fe2 sample`.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Where to write the result; pictures go beside it."),
    ] = None,
) -> int:
    """Hold a trained surrogate to a dataset.

    Errors, physics checks, attribution and speed.
    """
    if out is not None and (not out.parent.is_dir() or out.is_dir() or out.suffix == ".png"):
        raise BadInput(f"{out}: --out must name a file, such as result.json, in a folder that exists")
    import json

    from solver.response_picture import draw_attribution, draw_responses
    from solver.results.atomic import write_text
    from solver.surrogate_evaluation import evaluate_on, read_both, summary

    def hold_to_data() -> list[str]:
        model, dataset = read_both(folder, data)
        result = evaluate_on(model, dataset, folder, data)
        lines = summary(result)
        if out is not None:
            write_text(out, json.dumps(result, indent=1, allow_nan=False) + "\n")
            responses, attributed = out.with_suffix(".png"), out.with_name(f"{out.stem}-attribution.png")
            draw_responses(model, dataset, responses)
            draw_attribution(model, result["attribution"]["contributions"], attributed)
            lines.append(f"Written: {out}, {responses}, {attributed}")
        return lines

    for line in _on_root(hold_to_data):
        _say(line)
    return DONE


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="A model folder.", show_default=False)],
    onnx: Annotated[Path, typer.Option("--onnx", metavar="FILE.onnx", help="The file to write.", show_default=False)],
) -> int:
    """Write a trained surrogate as an ONNX graph, for other programs."""
    from solver.surrogate_export import export as export_model

    _say(_on_root(lambda: export_model(folder, onnx)))
    return DONE


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A run directory.", show_default=False)],
) -> int:
    """Write RUN_DIR/report.html, with pictures."""
    from solver.report import write_report  # on all ranks: what it imports starts PETSc, which takes all of them

    path = _on_root(lambda: write_report(directory))
    _say(f"Written: {path}")
    return DONE


@app.command()
def schema() -> int:
    """Print the JSON Schema of case files."""
    if _rank() == 0:
        import json

        from solver.case.schema import case_schema

        print(json.dumps(case_schema(), indent=2, ensure_ascii=False))
    return DONE


@app.command()
def new(name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the case.", show_default=False)]) -> int:
    """Write NAME.yaml, a commented case to start from."""
    from solver.case.starter import write_starter

    path = _on_root(lambda: write_starter(name))
    _say(f"Written: {path}\n  fe2 check {path}\n  fe2 run {path}")
    return DONE


def main(arguments: list[str] | None = None) -> None:
    """Entry point: run the command and end the process with its exit code."""
    sys.exit(execute(arguments))


def execute(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code; what is wrong goes to stderr, from rank 0 only."""
    try:
        code = app(args=arguments, prog_name="fe2", standalone_mode=False)
    except BadInput as error:
        return _end_together(str(error))
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "fe2"
        text = " ".join(error.format_message().split()).rstrip(".")
        return _end_together(f"{command}: {text}; see `{command} --help`")
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted")
        return INTERRUPTED
    return code if isinstance(code, int) else DONE


def _end_together(message: str) -> int:
    """Say what was wrong and end with exit code 2; no rank ends, and takes the others down, before it was said."""
    _complain(message)
    if _parallel():
        _communicator().Barrier()
    return BAD_INPUT


_RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK")
"""Where launchers tell the rank, known before MPI is up."""


def _parallel() -> bool:
    """Whether a launcher started this process as one of several."""
    return any(name in os.environ for name in _RANK_VARIABLES)


def _rank() -> int:
    """Rank of this process."""
    return next((int(os.environ[name]) for name in _RANK_VARIABLES if os.environ.get(name, "").isdecimal()), 0)


def _on_root[T](work: Callable[[], T]) -> T:
    """Do work that needs one process only on rank 0; what goes wrong goes wrong on all."""
    if not _parallel():
        return work()
    from solver.results.on_root import on_root

    return on_root(_communicator(), work)


def _communicator() -> "MPI.Comm":
    """All ranks of this run; from here on an error that nobody handles on one rank ends them all."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    if comm.size > 1:
        earlier = sys.excepthook

        def end_all(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            earlier(kind, error, trace)
            sys.stderr.flush()
            comm.Abort(1)

        sys.excepthook = end_all
    return comm


def _say(text: str) -> None:
    if _rank() == 0:
        print(text, flush=True)


def _complain(text: str) -> None:
    if _rank() == 0:
        print(text, file=sys.stderr, flush=True)


def _warn(lines: list[str]) -> None:
    for line in lines:
        _complain(f"warning: {line}")
