"""What every layer shares: types, errors, settings and the protocols between layers."""
