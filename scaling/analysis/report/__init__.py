"""One self-contained HTML page of a study: works from a file, offline."""

from scaling.analysis.report.page import write_report

__all__ = ["write_report"]
