"""One model from several: averages that know what each weight is worth, and sums of what was learnt."""
