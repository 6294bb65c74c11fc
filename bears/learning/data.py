"""Find the photos of each class, check that they can be opened, and split them into folds."""

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
from bears import distributed
from bears.errors import DataError, PhotoError
from bears.model.photo import open_photo
from bears.photos import OURS, SYSTEM_FOLDERS, UNREVIEWED, list_photos
from bears.text import as_typed, print_line, read_table
from fastai.data.transforms import parent_label
from sklearn.model_selection import StratifiedGroupKFold

Split = tuple[Sequence[int], Sequence[int]]  # train_idx, valid_idx: positions of photos
MAX_LABEL = 200  # bytes in the name of a class; files are named after it, and most systems allow 255 bytes


def find_photos(path: Path, exclude=None) -> tuple[list[Path], dict[str, str]]:
    """Find the photos of every class below the folder `path`, one folder per class.

    `exclude` names a CSV file with columns `file` (relative to `path`) and `reason`.
    Returns `files`, a sorted list of Paths, and `dropped`, a dict from the relative name of each unused photo to the
    reason. Raises `DataError` if fewer than two classes remain, if a class has fewer than two photos, and for names
    that are not UTF-8.
    """
    return find_all_photos([path], exclude)


def find_all_photos(folders: Sequence[Path | str], exclude=None) -> tuple[list[Path], dict[str, str]]:
    """Find photos as `find_photos` does, in several folders. A class may have photos in more than one folder.

    With several folders, each name in `dropped` starts with its folder.
    """
    found, names = [], {}
    for path in map(Path, folders):
        check_reviewed(path)
        photos = check_folder(path, tell=print_step)
        own = [f for f in photos if f.parent != path and not is_ours(f, path)]
        new = [f for f in own if f not in names]
        check_names(new)
        names |= {f: f.relative_to(path).as_posix() for f in new}
        found += new
        print_slips(path, own, loose=sum(f.parent == path for f in photos))
    excluded = read_excluded(exclude) if exclude else {}
    if unknown := set(excluded) - set(names.values()):
        print_line(f"{exclude} names {len(unknown)} photos that are not in {those(folders)}, such as {min(unknown)}")
    unreadable = verify_photos([f for f in found if names[f] not in excluded])
    dropped = {f: excluded[names[f]] for f in found if names[f] in excluded} | unreadable
    files = [f for f in found if f not in dropped]
    check_classes(folders, found, files)
    return files, {f.as_posix() if len(folders) > 1 else names[f]: reason for f, reason in dropped.items()}


def those(folders: Sequence[Path | str]) -> str:
    """Join the names of folders with `and`."""
    return " and ".join(map(str, folders))


def folder_of(file: Path, folders: Iterable[Path | str]) -> Path:
    """Return the folder, out of `folders`, that contains the photo `file`."""
    return next(folder for folder in map(Path, folders) if file.is_relative_to(folder))


def check_folder(path: Path, tell: Callable[[str], None] | None = None) -> list[Path]:
    """Return the photos in the folder `path` and its subfolders, by `list_photos(path, tell)`.

    Raises `DataError` if `path` isn't a folder, or if one of its subfolders can't be read.
    """
    if not os.path.isdir(path):
        raise DataError(f"There is no folder {path}. Give one with a subfolder of photos for each class.")
    return list_photos(path, tell)


def check_reviewed(path):
    """Raise `DataError` if `path` is in a folder of unreviewed visitors' photos, since their labels may be wrong."""
    if UNREVIEWED in path.resolve().parts:
        raise DataError(
            f"{path} has visitors' photos that nobody has reviewed. Review them with"
            f" `python3 -m bears clean {as_typed(path.resolve().parent)}`, then train on its folder `reviewed`."
        )


def check_names(files):
    """Raise `DataError` for file names that are not UTF-8, since they can't be printed. Some archives have them."""
    for file in files:
        try:
            str(file).encode()
        except UnicodeEncodeError:
            raise DataError(f"{str(file)!a} has a name that is not UTF-8. Rename it or its folder.") from None


def is_ours(file, path):
    """Return whether `file` is a photo that this project, not the user, has put below `path`. Training skips it.

    This project's photos are in folders for set-aside or unreviewed photos, or in examples/ and reports/ next to an
    export.
    """
    if OURS & set(file.relative_to(path).parts):
        return True
    if file.parent.name not in ("examples", "reports"):
        return False
    home = file.parent.parent
    return (home / "export.pkl").exists() or (home / "reports" / "batch.png").exists()  # a report without an export


def print_step(stage: str) -> None:
    print_line(f"· {stage}")


def print_slips(path, found, loose):
    """Print likely mistakes: photos outside of class folders, and folders that are empty, nested or share a name."""
    folders = sorted({f.parent for f in found})
    if loose:
        print_step(f"photos outside of the class folders are not used: {loose}")
    for folder in nested(folders):
        print_step(f"photos in {folder.relative_to(path).as_posix()} count as the class {folder.name}")
    for folder in sorted(path.iterdir()):
        skipped = folder.name.startswith(".") or folder.name.lower() in SYSTEM_FOLDERS or folder.name in OURS
        if folder.is_dir() and not skipped and not any(f.is_relative_to(folder) for f in folders):
            print_step(f"the folder {folder.name} has no photos of a class")
    for label, count in Counter(f.name for f in folders).items():
        if count > 1:
            names = ", ".join(f.relative_to(path).as_posix() for f in folders if f.name == label)
            print_step(f"the class {label} has photos in {count} folders: {names}")


def nested(folders):
    """Find the folders that are inside another of `folders`.

    Return a dict. Its keys are the folders that were found. Each value is the outermost of `folders` that contains its
    key.
    """
    return {f: parent for f in folders for parent in f.parents if parent in folders}


def find_others(path: Path) -> list[Path]:
    """Return the photos of other things (negatives) below `path`. Raises `DataError` if no photo can be opened."""
    files = list_photos(path, tell=print_step) if Path(path).is_dir() else []
    unreadable = verify_photos(files)
    files = [f for f in files if f not in unreadable]
    if not files:
        raise DataError(f"{path} has no photos. Choose a folder with photos of other things.")
    return files


def read_excluded(file: Path) -> dict[str, str]:
    """Read a CSV file into a dict from the column `file` to the column `reason`. Raises `DataError`."""
    return {name: reason or "no reason given" for name, reason in read_column(file, "reason").items()}


def read_column(file: Path, column: str) -> dict[str, str]:
    """Read a CSV file. Return a dict from each row's `file` to the row's value in the column `column`.

    In the values of `file`, `\\` becomes `/`, since tables from Windows have backslashes. Raises `DataError`.
    """
    try:
        rows = [row for row in read_table(file) if row["file"]]
        return {row["file"].replace("\\", "/"): row[column] or "" for row in rows}
    except (OSError, KeyError, csv.Error, UnicodeDecodeError) as e:
        why = getattr(e, "strerror", None) or type(e).__name__
        raise DataError(f"{file} is not a readable CSV file with columns file and {column} ({why}).") from None


def verify_photos(files):
    """Try to open each file with `open_photo`. Return a dict with the reason for each file that can't be opened."""

    def why_not(file):
        try:
            open_photo(file, side=32)
        except PhotoError as e:
            return e.reason

    return {f: reason for f, reason in zip(files, in_threads(why_not, files)) if reason}


def in_threads(function: Callable, files: Sequence) -> Iterator:
    """Yield `function(file)` for each file, in order, computed in threads.

    Threads open photos faster, since Pillow releases Python's global lock (GIL) while it decodes. The alternative
    `ThreadPoolExecutor.map` would take a kilobyte of memory for each photo.
    """
    with ThreadPool() as pool:
        yield from pool.imap(function, files, chunksize=16)


def check_classes(folders, found, files):
    """Raise `DataError` if there are fewer than two classes, or a class has too few photos or too long a name."""
    counts = count_labels(files)
    classes = sorted({parent_label(f) for f in found})
    if len(classes) < 2:
        raise DataError(
            f"{those(folders)} needs at least two folders of photos, one per class, and has {len(classes)}."
            " Give the folder that contains the folders of all classes."
        )
    for label in classes:
        if (size := len(os.fsencode(label))) > MAX_LABEL:
            raise DataError(
                f"The class {label[:20]}… has a name of {size} bytes. Shorten the name of its folder"
                f" to {MAX_LABEL} bytes."
            )
        if counts.get(label, 0) < 2:
            raise DataError(advice_on_small_class(folders, label, counts.get(label, 0), {f.parent for f in found}))


def check_labels(
    groups: dict[str, list[str]], alarm: list[str] | None, files: list[Path], hints: Iterable[str] = ()
) -> None:
    """Raise `DataError` if an option names an unknown class, or a group has the name of a class."""
    classes = sorted(count_labels(files))
    named = [*(("--group", labels) for labels in groups.values()), ("--alarm", alarm or []), ("--hint", hints)]
    for option, labels in named:
        if unknown := [label for label in labels if label not in classes]:
            raise DataError(f"{option}: there is no class {unknown[0]}. Choose from {', '.join(classes)}.")
    if same := [name for name in groups if name in classes]:
        raise DataError(f"The group {same[0]} has the name of a class. Give it another name with --group.")


def advice_on_small_class(roots, label, count, folders):
    """Return advice about a class with fewer than two photos. The folder of such a class is often there by mistake."""
    has = f"{count} readable photo{'s' * (count != 1)}"
    for folder, parent in nested(folders).items():
        if folder.name == label:
            folder, parent = (f.relative_to(folder_of(f, roots)).as_posix() for f in (folder, parent))
            return (
                f"Photos in {folder} count as the class {label}, which has {has}. Move them up into {parent}. Or, if"
                f" {label} is a class of its own, move its folder next to {parent} and add photos until it has two."
            )
    return f"The class {label} in {those(roots)} has {has}. Add photos until it has at least two."


def count_labels(files: list[Path]) -> dict[str, int]:
    """Return the number of photos per class, a dict sorted by label."""
    labels, counts = np.unique([parent_label(f) for f in files], return_counts=True)
    return dict(zip(labels.tolist(), counts.tolist()))


def grouped_folds(files: list[Path], groups: np.ndarray, n_folds=5, seed=42) -> list[Split]:
    """Split `files` into folds with about the same share of each class. Near-duplicates stay in the same fold.

    Returns a list of at most `n_folds` pairs (train_idx, valid_idx), arrays of positions in `files`. If a class has
    fewer different photos than `n_folds`, there are fewer folds. Raises `DataError`.
    """
    labels = np.array([parent_label(f) for f in files])
    different = {label: len(np.unique(groups[labels == label])) for label in sorted(set(labels))}
    fewest = min(different, key=different.get)
    if different[fewest] < 2:
        raise DataError(f"The class {fewest} has only copies of one photo. Add a different photo to it.")
    splitter = StratifiedGroupKFold(min(n_folds, different[fewest]), shuffle=True, random_state=seed)
    folds = list(splitter.split(labels, labels, groups))
    for train, _ in folds:
        if missing := sorted(set(labels) - set(labels[train])):
            raise DataError(f"The class {missing[0]} has too few different photos to test with. Add more.")
    return folds


def check_split(files: list[Path], train_idx: Iterable[int]) -> None:
    """Raise `DataError` if the training photos of a split lack a class."""
    learnt = {parent_label(files[i]) for i in train_idx}
    if missing := sorted({parent_label(f) for f in files} - learnt):
        raise DataError(
            f"The lesson's random split put every photo of class {missing[0]} into validation."
            " Add photos to that class, or leave out --lesson."
        )


@contextmanager
def explain_lost_photos(files: list[Path]) -> Iterator[None]:
    """Raise `DataError` if the `with` block fails because one of `files` was deleted or changed during the run."""
    try:
        yield
    except Exception as e:
        if gone := [f for f in files if not os.path.isfile(f)]:
            raise DataError(
                f"{gone[0]} was moved or deleted in the meantime. Run the command again to continue without it."
            ) from None
        if isinstance(e, PhotoError):
            raise DataError(f"A photo was changed in the meantime ({e.reason}). Run the command again.") from None
        raise


def batch_size(bs: int, n_train: int) -> int:
    """Return how many photos of a batch this process trains on. A batch has `bs` photos, but at most `n_train`."""
    return max(2, min(bs, n_train) // distributed.WORLD_SIZE)  # batch norm needs at least 2
