"""A run from the Hugging Face Hub: four files of one commit, looked at by name and size before they are fetched."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vidpred import runs
from vidpred.errors import BadInput
from vidpred.runs import MAX_BYTES

ADDRESS = re.compile(r"([\w.-]+/[\w.-]+)((?:/[\w.-]+)*)(?:@([\w./-]+))?", re.ASCII)
MALFORMED = "This is no address on the Hub: expected owner/name, owner/name/folder or one of them with @revision"
PATIENCE = 10.0  # seconds that the Hub may take to answer


class FetchedRun(NamedTuple):
    """A run folder, its address (owner/name or owner/name/folder) and the hash of its commit."""

    folder: Path
    repository: str
    commit: str


def fetch_run(repository: str, into: Path, revision: str | None = None, endpoint: str | None = None) -> FetchedRun:
    """Fetch a public run to a folder of its own inside `into`, once per commit, and check it.

    repository: owner/name, or owner/name/folder where it does not lie at the top; @revision may follow. revision: a
    branch, tag or commit, `main` by default. endpoint: of another Hub (default: what HF_ENDPOINT says).
    What is wrong is BadInput in one line, and leaves nothing behind.
    """
    name, place, revision = _parsed(f"{repository}@{revision}" if revision else repository)
    address = name + place
    from huggingface_hub import HfApi, constants  # these two take seconds to import

    from vidpred.checkpoint import check_run

    # The environment variable of this name counts only before the package is imported, which Gradio does too.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    api = HfApi(endpoint, token=False, library_name="vidpred")
    with _one_line_errors(address, revision):
        info = api.repo_info(name, revision=revision, files_metadata=True, timeout=PATIENCE)
        commit, sizes = info.sha, {file.rfilename: file.size for file in info.siblings}
        if not re.fullmatch("[0-9a-f]{40}", commit):
            raise ValueError("no commit")
    paths = _chosen(address, place, sizes)
    into = Path(into)
    folder = into / "~".join([*address.split("/"), commit[:12]])  # stands in no address, and in links as it is
    if folder.exists():
        return FetchedRun(folder, address, commit)
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=into) as temporary:
        run = Path(temporary) / "run"
        run.mkdir()
        for path in paths:
            with _one_line_errors(address, revision):
                fetched = api.hf_hub_download(
                    name, path, revision=commit, local_dir=Path(temporary) / "fetched", etag_timeout=PATIENCE
                )
            os.replace(fetched, run / Path(path).name)
        try:
            check_run(run)
        except BadInput as error:
            raise BadInput(f"{address}: {error}") from None
        try:
            run.rename(folder)
        except OSError:  # someone else has fetched it meanwhile
            if not folder.exists():
                raise
    return FetchedRun(folder, address, commit)


def _parsed(text: str) -> tuple[str, str, str]:
    """owner/name, "" or "/folder", revision."""
    found = ADDRESS.fullmatch(text.strip()) if isinstance(text, str) and len(text) <= 300 else None
    if not found or any(not part.strip(".") for part in re.split("[/@]", found[0])):
        raise BadInput(MALFORMED)
    name, place, revision = found.groups()
    return name, place, revision or "main"


def _chosen(address: str, place: str, sizes: dict[str, int | None]) -> list[str]:
    """The files of a run by their paths in the repository."""
    prefix = f"{place}/".lstrip("/")
    there = {path.removeprefix(prefix) for path in sizes if path.startswith(prefix)}
    if runs.CONFIG not in there:
        deeper = sorted(path.removesuffix(f"/{runs.CONFIG}") for path in there if path.endswith(f"/{runs.CONFIG}"))
        instead = f"; there is one in {', '.join(deeper[:3])}" if deeper else ""
        raise BadInput(f"{address}: no {runs.CONFIG}, so it is no run{instead}")
    if runs.WEIGHTS not in there:
        pickled = sorted(path for path in there if path.endswith(runs.PICKLED) and "/" not in path)
        instead = f"; {pickled[0]} could run code, so that only safetensors are opened" if pickled else ""
        raise BadInput(f"{address}: no {runs.WEIGHTS}{instead}")
    chosen = [prefix + name for name in MAX_BYTES if name in there]
    for path in chosen:
        most, size = MAX_BYTES[path.removeprefix(prefix)], sizes[path]
        if size is None or size > most:
            found = "no size" if size is None else f"{size / 1e6:,.0f} MB"
            raise BadInput(f"{address}: {path} has {found}, at most {most / 1e6:,.0f} MB are fetched")
    return chosen


@contextlib.contextmanager
def _one_line_errors(address: str, revision: str) -> Iterator[None]:
    """Whatever may end a request, as one line."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError:
        raise BadInput(MALFORMED) from None
    except errors.GatedRepoError:
        raise BadInput(f"{address}: gated, and only public runs are fetched") from None
    except errors.RevisionNotFoundError:
        raise BadInput(f"{address}: no revision {revision} there") from None
    except errors.RepositoryNotFoundError:
        raise BadInput(f"{address}: no such repository on the Hub, or a private one") from None
    except errors.OfflineModeIsEnabled:
        raise BadInput(f"{address}: the Hub cannot be asked, HF_HUB_OFFLINE is set here") from None
    except Exception as error:  # of two HTTP libraries, of hf_xet, of the disk: it did not come
        cause = type(error.__cause__ or error).__name__
        raise BadInput(f"{address}: the Hub cannot be reached, or does not answer as it should ({cause})") from None
