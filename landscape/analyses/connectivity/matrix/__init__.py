"""connectivity: barriers between all pairs of models."""
