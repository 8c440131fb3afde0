"""theory: solve it. Closed-form energies, exact losses and what follows from them."""
