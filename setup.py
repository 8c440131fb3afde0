"""What setup.cfg cannot say: derivations and exercises go into the wheel from where they stand."""

from pathlib import Path

from setuptools import find_packages, setup

DATA = {"toymodels_np.derivations": "derivations", "toymodels_np.exercises": "examples/exercises"}
there = {name: folder for name, folder in DATA.items() if Path(folder).is_dir()}

setup(packages=[*find_packages(include=["toymodels_np*"]), *there],
      package_dir=there,
      package_data={"toymodels_np": ["**/*.json", "**/*.npz", "**/*.js", "**/*.html", "**/*.css"],
                    **{name: ["*"] for name in there}})
