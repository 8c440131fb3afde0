"""teaching: learn it. Exercises that know the usual mistakes, and a tutor for them."""

from .script import check as check
