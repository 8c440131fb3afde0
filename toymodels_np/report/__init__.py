"""The report: one HTML file that needs no network, with every claim of the paper and its number."""

from .page import page
