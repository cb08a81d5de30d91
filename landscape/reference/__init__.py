"""The reference zoo: real data, small models, and the methods of papers, from training to compression."""
