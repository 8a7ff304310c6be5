"""List what a skops file may name without further consent: ``python scripts/list_trusted_names.py [--check]``.

Writes ``registry/flavors/untrusted/trusted_names.txt`` (what is trusted) and ``scripts/left_out_names.txt`` (what is
not, with the reason) from the installed NumPy, SciPy, pandas and scikit-learn. Names that an older release had and
this one lacks
stay. Read the difference before you commit it: a function on the list may be called with any data.
"""

import argparse
import importlib
import inspect
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy import stats

ROOT: Final = Path(__file__).parent.parent
TRUSTED: Final = ROOT / "registry/flavors/untrusted/trusted_names.txt"
LEFT_OUT: Final = ROOT / "scripts/left_out_names.txt"

FUNCTIONS: Final = (
    "numpy",
    "numpy.char",
    "numpy.fft",
    "numpy.linalg",
    "numpy.strings",
    "pandas",
    "scipy.ndimage",
    "scipy.signal",
    "scipy.special",
    "scipy.stats",
    "sklearn.feature_selection",
    "sklearn.metrics",
    "sklearn.metrics.cluster",
    "sklearn.metrics.pairwise",
    "sklearn.preprocessing",
)
TYPES: Final = (
    "sklearn.compose",
    "sklearn.gaussian_process.kernels",
    "sklearn.model_selection",
    "sklearn.utils",
)
TYPE_NAMES: Final = re.compile(r".*(Split|KFold)|Leave.*Out|Bunch|make_column_selector")
NO_TYPES: Final = re.compile(r"Base.*|.*Mixin|.*Warning|ABCMeta|Hyperparameter|Kernel|KernelOperator")
# Values of ``make_column_selector(dtype_include=…)``: classes that are compared with and never made.
CLASSES: Final = (
    "builtins.bytes",
    "builtins.complex",
    "builtins.object",
    "numpy.bool_",
    "numpy.character",
    "numpy.complexfloating",
    "numpy.flexible",
    "numpy.floating",
    "numpy.generic",
    "numpy.inexact",
    "numpy.integer",
    "numpy.number",
    "numpy.signedinteger",
    "numpy.unsignedinteger",
    "pandas.CategoricalDtype",
    "pandas.DatetimeTZDtype",
    "pandas.StringDtype",
)
STR_METHODS: Final = (
    "capitalize casefold expandtabs lower lstrip partition removeprefix removesuffix replace rpartition rsplit rstrip "
    "split splitlines strip swapcase title upper"
).split()

# What a function calls its first parameter if that is the data to be transformed.
DATA: Final = re.compile(
    r"(?i:a|a1|x|x1|ar|ar1|arr|ary|arrays?|m|m1|v|z|p|y|b|h|f|tup|seq|data|values|input|obj|objs|arg|frame|left|df|sample|samples|sig"
    r"|condition|val|element|arys|condlist|x0|object|filt|y1|image|measurements|y_true|labels_true|X|array_like|array_equiv|volume|im|n|samples)"
)
# Parameters that only sound like the ones below.
HARMLESS: Final = {"numpy.interp": "fp", "numpy.clip": "kwargs"}
# Names of parameters by what they could do, whatever the function makes of them.
REASONS: Final = {
    "takes a path or a buffer": re.compile(
        r"(?:.*_)?(?:path|paths|file|files|fname|filename|fp|fobj|fid|buf|buffer|filepath.*|data_home|stream|io|con|url|plot|fp)"
    ),
    "takes a callable": re.compile(
        r"(?:.*_)?(?:func|funcs|function|functions|func1d|funclist|fun|callable|callback|callbacks|aggfunc|pyfunc|statistic"
        r"|hook|formatter|filter|metric|kernel_func|rvs|cdf|jac|objective_score|score_func|reduction|reduce_func"
        r"|method_func|average_func)"
    ),
    "takes an expression or a name of code": re.compile(
        r"(?:.*_)?(?:expr|expression|expressions|query|subscripts|subs|engine|parser)"
    ),
    "takes open keywords": re.compile(r"kwargs|kwds|kw|keywords|args|options"),
    "may read pickles": re.compile(r"allow_pickle|pickle.*"),
}
NAMES: Final = {
    "reads or writes files": re.compile(
        r"(?:read|to|load|save|open|from)_?(?:pickle|txt|csv|file|regex|buffer|string|hdf|sql.*|clipboard|parquet|orc|json|html|xml|excel|feather|sas|spss|stata|fwf|table|gbq|z|npz|z_compressed)?|memmap|genfromtxt|DataSource"
    ),
    "changes the state of the process": re.compile(
        r"(?:set|get|reset|describe|option).*(?:print.*|err.*|option.*|string.*|bufsize|eng_float.*|backend|include|config)|seterr.*|geterr.*|.*_backend|set_workers|get_workers|setbufsize|getbufsize|option_context|register_backend"
    ),
    "prints, tests or shows": re.compile(
        r"test|show_.*|info|lookfor|who|source|disp|printoptions|base_repr|show_config|bug_report"
    ),
    "takes a callable": re.compile(
        r"vectorize|frompyfunc|fromfunction|fromiter|piecewise|apply_.*|make_scorer|check_.*"
    ),
    "evaluates text": re.compile(r"eval|query|einsum.*|bmat|col"),
    "makes arrays as large as it is told": re.compile(
        r"empty|zeros|ones|full|eye|identity|tri|arange|.*linspace|logspace|geomspace|indices|.*_range|bdate_range|diag_indices|tri[lu]_indices|mask_indices|ndindex|hilbert|invhilbert|pascal|invpascal|helmert|hadamard|dft|fiedler.*|leslie|companion|toeplitz|hankel|circulant|get_window|.*_win|firwin.*|chirp|unit_impulse|max_len_seq|gausspulse|sweep_poly|iir.*|butter|cheb.*|ellip.*|bessel|buttap|besselap|repeat|tile|resize|pad|broadcast_to|fftfreq|rfftfreq|convolution_matrix|block_diag"
    ),
}
# Reviewed one by one.
BY_HAND: Final = {
    "numpy.asmatrix": "reads text as a matrix",
    "numpy.matrix": "reads text as a matrix",
    "numpy.mat": "reads text as a matrix",
    "numpy.require": "does nothing that a transformer needs",
    "numpy.copyto": "writes into its first argument",
    "numpy.place": "writes into its first argument",
    "numpy.put": "writes into its first argument",
    "numpy.put_along_axis": "writes into its first argument",
    "numpy.putmask": "writes into its first argument",
    "numpy.fill_diagonal": "writes into its first argument",
    "numpy.may_share_memory": "does nothing that a transformer needs",
    "numpy.shares_memory": "takes exponential time on some arrays",
    "numpy.array2string": "takes callables as formatters",
    "numpy.from_dlpack": "takes another library's memory",
    "numpy.asanyarray": "keeps subclasses, which no other array function needs",
    "numpy.rec": "is a module",
    "pandas.array": "chooses its class by a text that extensions register",
    "pandas.crosstab": "takes a callable",
    "pandas.json_normalize": "takes paths into nested data and makes as many columns as they have",
    "pandas.set_eng_float_format": "changes the state of the process",
    "pandas.test": "runs a test suite",
    "scipy.stats.make_distribution": "makes classes",
    "scipy.stats.order_statistic": "makes distributions of another kind",
    "scipy.stats.truncate": "makes distributions of another kind",
    "sklearn.metrics.get_scorer": "returns code by a name",
}


def listed() -> tuple[list[str], dict[str, str]]:
    """Return the trusted names, and the reason of each one that is left out."""
    trusted, left_out = [f"class {name}" for name in CLASSES], dict[str, str]()
    for module_name in FUNCTIONS:
        for name, value in _public(module_name):
            if isinstance(value, type) or inspect.ismodule(value) or not callable(value):
                continue
            if (reason := reason_to_leave_out(f"{module_name}.{name}", value)) is None:
                trusted.append(f"function {module_name}.{name}")
            else:
                left_out[f"{module_name}.{name}"] = reason
    trusted += [f"function scipy.stats.{name}" for name, _ in _distributions()]
    for module_name in TYPES:
        for name, value in _public(module_name):
            if isinstance(value, type) and _is_trusted_type(module_name, name):
                trusted.append(f"type {module_name}.{name}")
    trusted += [f"method builtins.str.{name}" for name in STR_METHODS]
    for name in sorted(set(vars(str)) - set(STR_METHODS)):
        if not name.startswith("_"):
            left_out[f"builtins.str.{name}"] = "does not make text of text, or takes a format"
    return sorted(set(trusted)), left_out


def reason_to_leave_out(full_name: str, value: Any) -> str | None:
    """Why a function is not trusted, or None if it may be."""
    name = full_name.rpartition(".")[2]
    if full_name in BY_HAND:
        return BY_HAND[full_name]
    if is_distribution(value):
        return None
    if isinstance(value, np.ufunc):
        return None
    if not (value.__module__ or "").startswith(full_name.partition(".")[0]):
        return "belongs to another package"
    if re.match(r"sklearn\.(utils|_config)|numpy\.f2py", value.__module__ or "") or value.__module__ == "builtins":
        return "is a helper, no part of the public interface"
    for reason, pattern in NAMES.items():
        if pattern.fullmatch(name):
            return reason
    if not (
        inspect.isfunction(value) or inspect.isbuiltin(value) or type(value).__name__ == "_ArrayFunctionDispatcher"
    ):
        return f"is a {type(value).__name__}, no plain function"
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return "has no signature that could be looked at"
    if not parameters or not DATA.fullmatch(next(iter(parameters)).name):
        return "does not take the data as its first argument"
    for parameter in parameters:
        if HARMLESS.get(full_name) == parameter.name:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            return "takes open keywords"
        for reason, pattern in REASONS.items():
            if pattern.fullmatch(parameter.name) and parameter.kind is not parameter.VAR_POSITIONAL:
                return f"{reason} ({parameter.name})"
    documentation = inspect.getdoc(value) or ""
    if (
        found := re.search(
            r"^\s*(\w+) ?: [^\n]*\b(callable|file-like|file object|or function|function or)\b",
            documentation,
            re.MULTILINE,
        )
    ) is not None:
        return f"takes a callable or a file ({found[1]})"
    return None


def _is_trusted_type(module_name: str, name: str) -> bool:
    if NO_TYPES.fullmatch(name):
        return False
    return module_name.endswith("kernels") or TYPE_NAMES.fullmatch(name) is not None


def is_distribution(value: Any) -> bool:
    """Whether this is one of SciPy's univariate distributions."""
    return isinstance(value, stats.rv_continuous | stats.rv_discrete)


def _distributions() -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in _public("scipy.stats") if is_distribution(value))


def _public(module_name: str) -> Iterator[tuple[str, Any]]:
    module = importlib.import_module(module_name)
    for name in sorted(getattr(module, "__all__", None) or dir(module)):
        if not name.startswith("_"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    value = getattr(module, name, None)
                except ImportError:  # experimental names say so instead of importing
                    continue
            if getattr(value, "__module__", None) is None or not inspect.ismodule(value):
                yield name, value


def main() -> int:
    """Write both files, or say what would change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if something would change")
    check = parser.parse_args().check
    names, left_out = listed()
    kept = TRUSTED.read_text().splitlines() if TRUSTED.exists() else []
    kept = [line for line in kept if not line.startswith("#") and line.split()[1] not in left_out]
    text = "# Made by scripts/list_trusted_names.py; read the difference before you commit it.\n"
    text += "\n".join(sorted({*names, *kept})) + "\n"
    reasons = "# Made by scripts/list_trusted_names.py: public functions that no skops file may name, and why.\n"
    reasons += "".join(f"{name}: {reason}\n" for name, reason in sorted(left_out.items()))
    changed = [
        path for path, new in ((TRUSTED, text), (LEFT_OUT, reasons)) if not path.exists() or path.read_text() != new
    ]
    if not check:
        TRUSTED.write_text(text)
        LEFT_OUT.write_text(reasons)
    sys.stdout.write(f"{len(names)} trusted, {len(left_out)} left out; changed: {[path.name for path in changed]}\n")
    return int(check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
