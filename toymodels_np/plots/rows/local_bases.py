"""Row 9: WᵀW of two correlated sets beside that of independent features, the sets marked off."""

from ..style import STYLE, canvas


def figure(correlated, independent):
    """Each is (G (2s, 2s), distance from the identity inside the sets, the same between them)."""
    whole = canvas(15, 7)
    panels = whole.subplots(1, 2)
    image = None
    for axes, title, (G, inside, between) in zip(
            panels, ("two correlated sets", "independent features"), (correlated, independent)):
        s = len(G) // 2
        image = axes.imshow(G, cmap="RdBu_r", vmin=-1, vmax=1)
        axes.axhline(s - 0.5, color="black", linewidth=2)
        axes.axvline(s - 0.5, color="black", linewidth=2)
        names = [f"features 0 to {s - 1}", f"features {s} to {2 * s - 1}"]
        axes.set(xticks=[s / 2 - 0.5, 1.5 * s - 0.5], yticks=[s / 2 - 0.5, 1.5 * s - 0.5])
        axes.set_xticklabels(names, fontsize=STYLE["font"] + 3)
        axes.set_yticklabels(names, fontsize=STYLE["font"] + 3, rotation=90, va="center")
        axes.tick_params(length=0)
        axes.set_title(f"{title}: distance from the identity\n{inside:.3f} inside the sets, "
                       f"{between:.3f} between", fontsize=STYLE["title"] + 1)
    bar = whole.colorbar(image, ax=panels, shrink=0.8)
    bar.set_label(r"$W^\top W$", fontsize=STYLE["font"] + 4)
    bar.ax.tick_params(labelsize=STYLE["font"] + 1)
    return whole
