"""Pages and pictures of what the benchmark suite measured.

results.py      what a file holds
reader.py       reads and checks it
summary.py      means, where a rival is faster, series of one size
comparison.py   two files side by side
charts.py       all pictures: overview.py, speedup.py, roofline.py, scaling.py
drawing.py      their look
page.py         the page: tables.py, style.py, markup.py
markdown.py     tables for a readme
"""

from .comparison import Change, compare, has_regression, print_comparison
from .markdown import markdown_table
from .page import write_report
from .reader import ReportError, parse, read
from .results import Report

__all__ = [
    "Change",
    "Report",
    "ReportError",
    "compare",
    "has_regression",
    "markdown_table",
    "parse",
    "print_comparison",
    "read",
    "write_report",
]
