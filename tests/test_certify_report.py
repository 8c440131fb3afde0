"""The atlas is proved, and the report has every entry once, with intervals that hold the proofs."""

import json
import re
from fractions import Fraction
from html import unescape

import pytest
from hypothesis import given, strategies as st

import toymodels_np as tm
from toymodels_np.report import atlas, page as report
from toymodels_np.teaching import book
from toymodels_np.theory.certify.atlas import FOLDER, MINIMUM, SADDLE
from toymodels_np.theory.certify.certificate import from_dict

ROW = re.compile(r'<tr class="entry">(.*?)</tr>', re.DOTALL)
CELL = re.compile(r'<td[^>]*data-label="([^"]*)">(.*?)</td>', re.DOTALL)
PROVED = [entry for entry in tm.load_atlas() if entry.certificate]
# Of large models the last of each size, at p = 1/2, is checked within half a second.
LARGE = {(entry.n_features, entry.n_hidden): entry for entry in PROVED if entry.n_features > 4}
CHECKED = [entry for entry in PROVED if entry.n_features <= 4] + list(LARGE.values())


def interval(text):
    """(low, high) of "x ± r", exact."""
    middle, radius = (Fraction(part) for part in text.split(" ± "))
    return middle - radius, middle + radius


@pytest.fixture(scope="module")
def text():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(book, "chapters", lambda: [])
        patch.setattr(book, "code", lambda: "")
        return report([])


# -- what the atlas keeps --------------------------------------------------------------------------

def test_every_certificate_of_the_atlas_has_the_digest_of_what_it_says():
    """Each is read and written anew, with a digest that is worked out anew."""
    entries = [entry for path in FOLDER.glob("*.json") for entry in json.loads(path.read_text())]
    records = [entry["certificate"] for entry in entries if entry["certificate"]]
    assert len(records) == len(PROVED) > 40
    for record in records:
        assert from_dict(record).to_dict() == record


def test_every_entry_says_what_its_certificate_says():
    for entry in PROVED:
        proof, p = entry.certificate, entry.feature_probability
        assert proof.law.n == entry.n_features and len(proof.W) == entry.n_hidden
        assert {low <= p <= high for low, high in proof.law.probability} == {True}
        assert set(proof.law.importance) == {(1, 1)}
        assert proof.law.interference == proof.law.weight_decay == (0, 0)
        assert [len(members) for _, members in proof.law.sets] == [1] * entry.n_features
        assert entry.kind == (SADDLE if proof.index else MINIMUM)
        assert float(proof.loss_interval[0]) == pytest.approx(entry.loss, rel=1e-9)
        assert tm.norms(proof.model.W) == pytest.approx(entry.norms, abs=1e-8)
        assert proof.model.b == pytest.approx(entry.biases, abs=1e-8)
        assert tm.name_geometry(proof.model.W) == entry.name


@pytest.mark.parametrize("entry", CHECKED, ids=lambda entry: (
    f"{entry.n_features}-{entry.n_hidden}-{float(entry.feature_probability)}-{entry.name}"))
def test_what_the_atlas_says_is_proved_anew(entry):
    pytest.importorskip("flint")
    assert tm.check_certificate(entry.certificate.to_dict())


# -- what the report shows of it -------------------------------------------------------------------

@given(st.fractions(-9, 9), st.fractions(0, 1).map(lambda x: x**9))
def test_an_interval_in_words_holds_the_interval_and_is_hardly_wider(low, width):
    first, last = interval(atlas.within(low, low + width))
    assert first <= low and low + width <= last
    assert last - first <= 4 * width + Fraction(2, 10**atlas.DECIMALS)


def test_every_entry_stands_in_the_report_once_with_what_is_proved(text):
    entries = tm.load_atlas()
    plain = lambda cell: unescape(re.sub(r"<[^>]*>", "", cell)).strip()
    rows = [{label: plain(cell) for label, cell in CELL.findall(row)}
            for row in ROW.findall(text)]
    assert len(rows) == len(entries) > 40
    for row, entry in zip(rows, entries, strict=True):
        assert Fraction(row["p"]) == entry.feature_probability
        assert row["Name"] == entry.name and row["Kind"] == entry.kind
        said = [part.partition(atlas.TIMES) for part in row["Norms"].split(", ")]
        norms = [float(norm) for norm, _, count in said for _ in range(int(count or 1))]
        assert sorted(norms) == pytest.approx(sorted(entry.norms), abs=1e-4)
        if entry.certificate is None:
            assert entry.reason.split(":")[0] in row["Loss"] and row["Index"] == "–"
            continue
        first, last = interval(row["Loss"])
        low, high = entry.certificate.loss_interval
        assert first <= low and high <= last
        assert (int(row["Index"]), int(row["Rank"])) == (entry.index, entry.hessian_rank)
        assert row["Learning coefficient"] == (f"{entry.hessian_rank / 2:g}" if entry.index == 0
                                               else "–")


def test_the_contents_lead_to_the_atlas_and_sizes_are_headings(text):
    assert text.count('href="#atlas"') == text.count('id="atlas"') == 1
    heads = re.findall(r'scope="rowgroup">([^<]*)<', text)
    assert heads == ["2 features in 1 dimension", *(
        f"{n} features in {m} dimensions" for n, m in ((3, 2), (4, 2), (5, 2), (6, 2), (6, 3)))]
