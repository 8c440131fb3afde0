"""teaching: learn it. Exercises that know the usual mistakes, and a tutor that goes through them."""

from .script import check as check
